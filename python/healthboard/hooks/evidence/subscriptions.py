"""The consumers of this process. Those that others have ended are missing until they are back."""

from __future__ import annotations

import weakref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ... import Indicator


class Subscriptions:
    """The consumers that the broker or the connection has ended, until the service has them again."""

    def __init__(self, make_indicator: Callable[[], Indicator]) -> None:
        self._make_indicator = make_indicator
        # By the object that makes the connection again.
        self._lost: weakref.WeakKeyDictionary[Any, _Lost] = weakref.WeakKeyDictionary()
        # The queues that the broker cannot serve.
        self._unavailable: set[str] = set()

    def fail(self, queue: str, raised: BaseException) -> None:
        """Record that the broker cannot serve a queue, as when its node is down."""
        self._unavailable.add(queue)
        self._make_indicator().record_fail(raised)

    def recover(self, queue: str) -> None:
        """Record that the broker can serve a queue."""
        if queue in self._unavailable:
            self._unavailable.discard(queue)
            self._settle()

    def add(self, owner: Any, queue: str) -> None:
        """Record that the broker has accepted a consumer."""
        self._unavailable.discard(queue)
        lost = self._lost.get(owner)
        if lost is not None:
            lost.queues.discard(queue)
            if not lost.queues:
                del self._lost[owner], lost
        self._settle()

    def lose(self, owner: Any, queues: Iterable[str], failure: str | None = None) -> None:
        """Record that these consumers have ended. An operation is in flight until they are back."""
        queues = set(queues)
        if not queues:
            return
        if failure is not None:
            self._make_indicator().record_fail(failure)
        lost = self._lost.get(owner)
        if lost is None:
            lost = self._lost[owner] = _Lost(self._make_indicator())
        lost.queues |= queues

    def drop(self, owner: Any, queue: str | None = None) -> None:
        """Record that the service itself ends a consumer, or all consumers of the owner."""
        lost = self._lost.get(owner)
        if lost is None:
            return
        if queue is None:
            lost.queues.clear()
        else:
            lost.queues.discard(queue)
        if not lost.queues:
            del self._lost[owner], lost
            self._settle()

    def _settle(self) -> None:
        if not self._unavailable and not len(self._lost):
            self._make_indicator().record_ok()


class _Lost:
    def __init__(self, indicator: Indicator) -> None:
        self.queues: set[str] = set()
        self._operation = indicator.begin()

    def __del__(self) -> None:
        # This also runs when the owner no longer exists and thus consumes nothing.
        self._operation.end()
