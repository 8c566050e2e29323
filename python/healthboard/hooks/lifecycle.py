"""Wrappers for functions that start or stop processes, shared by the hooks of several libraries."""

from __future__ import annotations

import functools

from .. import _native, notices, refresh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def drain_before(stop: Any) -> Any:
    """Say that the process is draining, then call `stop`."""
    return _call_before(stop, _native.drain)


def stop_refresh_before(work: Any) -> Any:
    """Refresh nothing more in this process, then call `work`."""
    return _call_before(work, refresh.stop)


def watch_before(launch: Any) -> Any:
    """Say that the process is a master, refresh nothing more in it, then call `launch`."""

    def watch() -> None:
        refresh.stop()
        _native.watch()

    return _call_before(launch, watch)


def _call_before(function: Any, first: Callable[[], None]) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with notices.suppress_errors(first.__name__):
            first()
        return function(*args, **kwargs)

    return wrapper
