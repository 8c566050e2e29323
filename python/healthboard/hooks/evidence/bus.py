"""What this process knows of a message broker, for the hooks of amqp, kombu and oslo.messaging.

Connecting, publishing and consuming are told apart, each with an indicator of its own. A heartbeat proves the
connection and nothing else: a broker that takes no messages goes on sending them.
"""

from __future__ import annotations

import os
import socket
import time
import weakref

from ...refresher import NotAsked, register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ... import Indicator
    from ...classify import Evidence

# Seconds after which the broker should have answered.
LATE_AFTER = 5.0

# Seconds between two attempts to connect of oslo.messaging and kombu: 30 at most.
MAX_RETRY_INTERVAL = 35.0

# The state of a TCP connection that neither end has closed, in Linux.
ESTABLISHED = 1

# Seconds in which the broker says that it takes no messages.
BLOCKED_WITHIN = 1.0

# Seconds between two successes that frames record.
MIN_FRAME_INTERVAL = 1.0


class NoAnswer(Exception):  # noqa: N818 - the name of a failure
    """The broker has not answered a request."""


class Unconfirmed(Exception):  # noqa: N818 - the name of a failure
    """The broker has not confirmed a message."""


class Operations:
    """The operations of one indicator. A late one is a failure already before it ends."""

    def __init__(self, indicator: Indicator, late: type[Exception]) -> None:
        self.indicator = indicator
        self._late = late
        self._pid = os.getpid()
        self._begun: dict[object, float] = {}

    def run(
        self,
        judge: Callable[[BaseException], Evidence] | None,
        succeeds: bool,
        function: Callable[[], Any],
    ) -> Any:
        """Call the function, which is one operation. With `succeeds`, its return is evidence."""
        if self._pid != os.getpid():
            # A forked child has none of its parent's operations in flight.
            self._pid = os.getpid()
            self._begun.clear()
        key = object()
        self._begun[key] = time.monotonic()
        try:
            with self.indicator.begin(judge) as operation:
                result = function()
                if not succeeds:
                    operation.end()
        finally:
            self._begun.pop(key, None)
        return result

    def is_late(self) -> bool:
        """Tell whether an operation has been in flight for too long."""
        begun = list(self._begun.values())
        return bool(begun) and self._pid == os.getpid() and time.monotonic() - min(begun) > LATE_AFTER

    def check(self) -> None:
        """Raise what a late operation is recorded as, unless a failure is recorded already."""
        if self.is_late() and not self.indicator.failures():
            raise self._late

    def refresh(self) -> None:
        """Check what is in flight. The broker is not asked."""
        self.check()
        raise NotAsked


class Link:
    """One connection of this process to a broker."""

    def __init__(self, bus: Bus, connection: Any) -> None:
        self.bus = bus
        self.connection = weakref.ref(connection)
        self.pid = os.getpid()
        self.last_frame = time.monotonic()
        # When the first message was written that the broker will not confirm.
        self.first_write: float | None = None
        # The broker takes no messages over it.
        self.is_blocked = False
        # The broker should have sent a heartbeat.
        self.is_silent = False

    def is_open(self) -> bool:
        """Tell whether the connection is one of this process, and is not closed at the other end."""
        # Not `transport`: that would connect.
        transport = getattr(self.connection(), "_transport", None)
        if self.pid != os.getpid() or transport is None or not transport.connected:
            return False
        try:
            return bool(transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED)
        except (AttributeError, OSError):
            # Closed meanwhile.
            return False


class Bus:
    """The connections to a broker that are used for the same purpose."""

    def __init__(self, connecting: Indicator, publishing: Indicator) -> None:
        self.requests = Operations(connecting, NoAnswer)
        self.publishes = Operations(publishing, Unconfirmed)
        # Asks the broker over a connection of its own, and closes that connection.
        self.ask: Callable[[], object] | None = None
        self.stop_asking: Callable[[], object] = _nothing
        self._links: weakref.WeakSet[Link] = weakref.WeakSet()
        # The link that received the newest frame.
        self._newest: Link | None = None
        # By the monotonic clock: the newest success of a frame, the newest failed attempt to connect.
        self._frame_recorded = 0.0
        self._attempt_failed = float("-inf")
        register(connecting, self._refresh)
        register(publishing, self.publishes.refresh)

    def connect(self, link: Link, function: Callable[[], Any]) -> Any:
        """Call the function, which is an attempt to connect."""
        self._links.add(link)
        try:
            # Whatever it raises is a failure.
            result = self.requests.run(None, False, function)
        except Exception:
            self._attempt_failed = time.monotonic()
            raise
        self.receive(link)
        return result

    def request(self, link: Link, function: Callable[[], Any]) -> Any:
        """Call the function, which waits for the answer to a request."""
        # Whatever it raises is in a frame, or is the loss of the connection.
        result = self.requests.run(_no_evidence, False, function)
        if self.requests.indicator.failures():
            # The frame with the answer came while the request was late.
            self.receive(link)
        return result

    def receive(self, link: Link) -> None:
        """Record that a frame has come. It says nothing of another connection, nor of publishing."""
        now = link.last_frame = time.monotonic()
        link.is_silent = False
        self._newest = link
        connecting = self.requests.indicator
        if now - self._frame_recorded < MIN_FRAME_INTERVAL and not connecting.failures():
            return
        if not self.requests.is_late() and not any(each.is_silent for each in self._open_links()):
            self._frame_recorded = now
            # Not as an end of the operations in flight.
            connecting.begin_refresh().ok()

    def lose(self, link: Link, raised: BaseException) -> None:
        """Record that a connection is lost. If another one has received a frame since, that is no news."""
        if self._newest is link:
            self.requests.indicator.record_fail(raised)

    def miss_heartbeat(self, link: Link) -> None:
        """Record, once, that the broker has not sent the heartbeats it has promised."""
        if not link.is_silent:
            link.is_silent = True
            self.requests.indicator.record_fail("HeartbeatMissed")

    def write(self, link: Link) -> None:
        """Record that a message is written that the broker will not confirm. By itself it proves nothing."""
        now = time.monotonic()
        link.first_write = link.first_write or now
        # A broker that takes no messages says so when it gets the first one.
        taken = not link.is_blocked and now - link.first_write > BLOCKED_WITHIN
        if taken and self.publishes.indicator.failures():
            self.publishes.indicator.record_ok()

    def block(self, link: Link) -> None:
        """Record that the broker has said that it takes no messages."""
        link.is_blocked = True
        self.publishes.indicator.record_fail("Blocked")

    def unblock(self, link: Link) -> None:
        """Record that the broker has said that it takes messages again."""
        link.is_blocked = False
        if not any(each.is_blocked for each in self._open_links()):
            self.publishes.indicator.record_ok()

    def _open_links(self) -> list[Link]:
        return [link for link in list(self._links) if link.is_open()]

    def _refresh(self) -> None:
        self.requests.check()
        if self._open_links():
            self.stop_asking()
            raise NotAsked
        if self.ask is None or time.monotonic() - self._attempt_failed < MAX_RETRY_INTERVAL:
            # The service itself connects again.
            raise NotAsked
        self.ask()


class Subscriptions:
    """The consumers that the broker or the connection has ended, until the service has them again."""

    def __init__(self, make_indicator: Callable[[], Indicator]) -> None:
        self._make_indicator = make_indicator
        # By what makes the connection anew.
        self._lost: weakref.WeakKeyDictionary[Any, _Lost] = weakref.WeakKeyDictionary()

    def add(self, owner: Any, queue: str) -> None:
        """Record that the broker has accepted a consumer."""
        lost = self._lost.get(owner)
        if lost is not None:
            lost.queues.discard(queue)
            if not lost.queues:
                del self._lost[owner], lost
        self._settle()

    def lose(self, owner: Any, queues: Iterable[str], failure: str | None = None) -> None:
        """Record that the consumers of these queues have ended: an operation until they are back."""
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
        """Record that the service itself ends a consumer, or all of the owner."""
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
        if not len(self._lost):
            self._make_indicator().record_ok()


class _Lost:
    def __init__(self, indicator: Indicator) -> None:
        self.queues: set[str] = set()
        self._operation = indicator.begin()
        self._pid = os.getpid()

    def __del__(self) -> None:
        # Also when the owner is gone: it does not consume any more.
        self._operation.end()


def _no_evidence(_raised: BaseException) -> None:
    return None


def _nothing() -> None:
    pass
