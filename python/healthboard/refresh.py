"""Refresh: small real operations of a service's own, so that it is not called sick for having nothing to do.

Each indicator that has an operation gets a thread, a green one under eventlet: an operation that hangs is in
flight, as it should be, and holds up nothing else.
"""

from __future__ import annotations

import contextlib
import os
import sys

from . import _native, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    _Operation = Callable[[bool], None]

# How long a thread waits that has nothing to refresh, and one whose operation has recorded nothing.
_PAUSE = 1.0

# How long a process that is about to fork waits for operations to end.
_PATIENCE = 2.0

_offers: dict[str, tuple[_native.Indicator, _Operation]] = {}

# The process that the threads belong to: a forked child has none of them.
_pid = 0
_threads: dict[str, threading.Thread] = {}
_stop: threading.Event | None = None

# The process that runs no operations any more.
_left = 0

# The process that runs at once what was offered to the one it was forked by.
_heir = 0


def offer(indicator: _native.Indicator, operation: _Operation) -> None:
    """Have the operation run whenever nothing was recorded in this process for `refresh_interval`.

    It is told whether there is nothing to build on (the newest outcome is a failure, there is none in this
    process, or it must share nothing with the service), records by itself, and may raise. Of two for one
    indicator the newer one counts.
    """
    _offers[indicator.name] = indicator, operation


def begin() -> None:
    """Begin with what was offered; to be called again and again by whatever stamps `progress`."""
    global _pid, _stop
    if _left == os.getpid() or not _offers:
        return
    threading = threads.module()
    if _stop is None or _pid != os.getpid():
        _pid, _stop = os.getpid(), threading.Event()
        _threads.clear()
    for name in _offers.keys() - _threads.keys():
        thread = threading.Thread(target=_run, args=(name, _stop), name=f"healthboard-{name}", daemon=True)
        _threads[name] = thread
        thread.start()


def inherit() -> None:
    """Run at once, in this process, what was offered to the one that has forked it.

    For a worker that a master has prepared, and that may get its first request in hours.
    """
    global _heir
    _heir = os.getpid()


def leave(patience: float = _PATIENCE) -> None:
    """Run no operation in this process any more.

    For one that forks others to do the work: a child must not inherit a lock that an operation holds.
    """
    global _left
    _left = os.getpid()
    if _stop is not None and _pid == _left:
        _stop.set()
        for thread in _threads.values():
            thread.join(patience)
        _threads.clear()


def _run(name: str, stop: threading.Event) -> None:
    is_heir = _heir == os.getpid()
    while not stop.is_set():
        indicator, operation = _offers[name]
        due = indicator.refresh_due()
        if due == 0.0 or (is_heir and due is None):
            # It records what there is to know.
            with contextlib.suppress(Exception):
                operation(is_heir or threads.are_apart() or indicator.failures() > 0)
            is_heir = False
            due = indicator.refresh_due() or _PAUSE
        if stop.wait(_PAUSE if due is None else due):
            return
        if sys.is_finalizing():
            return
