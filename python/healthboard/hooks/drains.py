"""What the hooks of all libraries that start and stop services have in common."""

from __future__ import annotations

import functools

from .. import _native, notices, refresh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def drain_before(stop: Any) -> Any:
    """Say that the process is going to end, then do what `stop` does."""
    return _before(stop, _native.drain)


def leave_before(work: Any) -> Any:
    """Refresh nothing in this process, then do what `work` does."""
    return _before(work, refresh.leave)


def watch_before(launch: Any) -> Any:
    """Say that the process is a master, which forks and refreshes nothing, then do what `launch` does."""

    def watch() -> None:
        refresh.leave()
        _native.watch()

    return _before(launch, watch)


def _before(function: Any, first: Callable[[], None]) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with notices.swallowed(first.__name__):
            first()
        return function(*args, **kwargs)

    return wrapper
