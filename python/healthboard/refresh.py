"""Refresh: small real operations that keep an idle service's evidence fresh.

Each registered operation runs in a thread of its own, a green thread under eventlet. An operation that hangs
is then visible as in flight, and delays no other.
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

# Seconds before the next check if nothing is due, or if an operation recorded nothing.
_CHECK_INTERVAL = 1.0

# Seconds that a process about to fork waits for each running operation.
_JOIN_TIMEOUT = 2.0

_operations: dict[str, tuple[_native.Indicator, _Operation]] = {}

# The process that owns the threads below. A forked child inherits none of them.
_owner_pid = 0
_threads: dict[str, threading.Thread] = {}
_stop: threading.Event | None = None

# The process in which `stop` was called.
_stopped_pid = 0

# The process in which `run_at_start` was called.
_run_at_start_pid = 0


def register(indicator: _native.Indicator, operation: _Operation) -> None:
    """Run the operation whenever the indicator is due for a refresh.

    The operation records its own outcome, and may raise. Its argument is true if it must not reuse a
    connection: the newest outcome is a failure, this process has no outcome yet, or the operation runs in a
    native thread beside eventlet. A second operation for the same indicator replaces the first.
    """
    _operations[indicator.name] = indicator, operation


def start_threads() -> None:
    """Start a thread for each new operation. Whatever stamps `progress` calls this repeatedly."""
    global _owner_pid, _stop
    if _stopped_pid == os.getpid() or not _operations:
        return
    threading = threads.threading_module()
    if _stop is None or _owner_pid != os.getpid():
        _owner_pid, _stop = os.getpid(), threading.Event()
        _threads.clear()
    for name in _operations.keys() - _threads.keys():
        thread = threading.Thread(target=_run, args=(name, _stop), name=f"healthboard-{name}", daemon=True)
        _threads[name] = thread
        thread.start()


def run_at_start() -> None:
    """Run each operation once at the start of this process, including those its parent registered.

    A worker that its master has prepared may wait hours for its first request.
    """
    global _run_at_start_pid
    _run_at_start_pid = os.getpid()


def stop(join_timeout: float = _JOIN_TIMEOUT) -> None:
    """Run no more operations in this process.

    A process that forks workers calls this first: a child must not inherit a lock that an operation holds.
    """
    global _stopped_pid
    _stopped_pid = os.getpid()
    if _stop is not None and _owner_pid == _stopped_pid:
        _stop.set()
        for thread in _threads.values():
            thread.join(join_timeout)
        _threads.clear()


def _run(name: str, stop: threading.Event) -> None:
    is_first = _run_at_start_pid == os.getpid()
    while not stop.is_set():
        indicator, operation = _operations[name]
        due = indicator.refresh_due()
        if due == 0.0 or (is_first and due is None):
            # The operation has recorded its failure already.
            with contextlib.suppress(Exception):
                operation(is_first or threads.are_native_beside_green() or indicator.failures() > 0)
            is_first = False
            due = indicator.refresh_due() or _CHECK_INTERVAL
        if stop.wait(_CHECK_INTERVAL if due is None else due):
            return
        if sys.is_finalizing():
            return
