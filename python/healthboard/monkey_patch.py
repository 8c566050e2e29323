"""eventlet's `monkey_patch` after health has started: green threads replace healthboard's native ones.

A native thread would continue to stamp `progress` while the hub is blocked.
"""

from __future__ import annotations

import functools
import os

from . import imports, notices, progress, refresher, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

_is_watched = False


def watch() -> None:
    """From now on notice calls of `eventlet.monkey_patch`."""
    global _is_watched
    if not _is_watched:
        _is_watched = True
        imports.when_imported("eventlet", _wrap)


def _wrap(eventlet: ModuleType) -> None:
    original = eventlet.monkey_patch

    @functools.wraps(original)
    def monkey_patch(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        with notices.suppress_errors("progress"):
            _move_into_hub()
        return result

    eventlet.monkey_patch = monkey_patch  # type: ignore[attr-defined]
    eventlet.patcher.monkey_patch = monkey_patch


def _move_into_hub() -> None:
    if not progress.has_native_thread() or not threads.are_green() or threads.are_native_beside_green():
        return
    notices.warn_once(
        "monkey_patch",
        f"health has started in process {os.getpid()} before `eventlet.monkey_patch()`: start it afterwards;"
        " from now on `progress` is that of the hub",
    )
    progress.stop_native_thread()
    refresher.restart()
    progress.start()
