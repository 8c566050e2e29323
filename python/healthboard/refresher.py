"""Refresh: small real operations that keep an idle service's evidence fresh.

One thread runs them all; under eventlet it is a green thread. While one of them does not return, another
thread continues with the rest.
"""

from __future__ import annotations

import os
import sys
import time

from . import _native, notices, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from ._native import _Meaning

# Seconds between two checks for due operations, and before an operation that recorded nothing runs again.
_CHECK_INTERVAL = 1.0

# Seconds after which an operation no longer keeps the others waiting.
_MAX_WAIT = 1.0

# Seconds that a process about to fork waits for each thread.
_JOIN_TIMEOUT = 2.0


class NotAsked(Exception):  # noqa: N818 - not an error
    """Raised by an operation that asked nothing, so that it records nothing."""


class _Refresh:
    """A refresh operation of one indicator."""

    def __init__(
        self,
        indicator: _native.Indicator,
        operation: Callable[[], object],
        judge: Callable[[BaseException], _Meaning] | None,
        at_start: bool,
    ) -> None:
        self.indicator = indicator
        self.operation = operation
        self.judge = judge
        self.at_start = at_start
        # When the current run began, and the earliest time of the next run, by the monotonic clock.
        self.running_since: float | None = None
        self.not_before = 0.0
        # The process in which it last ran.
        self.pid = 0

    def due(self) -> float:
        """Return the seconds until it is due, at most the time between two checks."""
        due = self.indicator.refresh_due()
        if self.pid != os.getpid() and (self.at_start or _run_at_start_pid == os.getpid()):
            due = 0.0
        wait = self.not_before - time.monotonic()
        return _CHECK_INTERVAL if due is None else min(max(due, wait), _CHECK_INTERVAL)

    def run(self) -> None:
        self.pid = os.getpid()
        self.running_since = time.monotonic()
        try:
            with self.indicator.begin_refresh(self._judge):
                result = self.operation()
                if hasattr(type(result), "__await__"):
                    if hasattr(result, "close"):
                        result.close()
                    raise TypeError(f"a refresh must not be a coroutine, found {result!r}")
        except Exception:
            # The operation has recorded it.
            pass
        finally:
            self.running_since = None
            if self.indicator.refresh_due() == 0.0:
                # It is still due, so it has recorded nothing.
                self.not_before = time.monotonic() + _CHECK_INTERVAL

    def _judge(self, raised: BaseException) -> _Meaning:
        if isinstance(raised, NotAsked):
            return None
        return False if self.judge is None else self.judge(raised)


_refreshes: dict[str, _Refresh] = {}

# The process that owns the threads below. The newest of them checks for due operations. A forked child
# inherits none of them.
_owner_pid = 0
_threads: list[threading.Thread] = []
_stop: threading.Event | None = None

# The process in which `stop` was called.
_stopped_pid = 0

# The process in which `run_at_start` was called.
_run_at_start_pid = 0


def register(
    indicator: _native.Indicator,
    operation: Callable[[], object],
    judge: Callable[[BaseException], _Meaning] | None = None,
    *,
    at_start: bool = False,
) -> None:
    """Run the operation whenever the indicator is due for a refresh, which needs a first outcome.

    Its return is a success. An exception is what `judge` says, by default a failure. A second operation for
    the same indicator replaces the first. With `at_start` it runs once in each process before any outcome.
    """
    _refreshes[indicator.name] = _Refresh(indicator, operation, judge, at_start)


def refresh(name: str, operation: Callable[[], object]) -> None:
    """Run `operation` at the start, and whenever `name` has no fresh evidence, is failing, or is in doubt.

    It must test what the service's work needs: its success clears the failures of the work. An exception is a
    failure. If it takes longer than 5 s, that is a failure as well. It runs in a thread of healthboard's own,
    or in a green thread under eventlet, and must not hold a lock for which the service's threads wait.
    Signals are blocked in that thread, and in programs that it starts.
    """
    import inspect

    if not callable(operation) or inspect.iscoroutinefunction(operation):
        raise TypeError(f"refresh of `{name}`: expected a function, found {operation!r}")
    register(_native.Indicator(name), operation, at_start=True)


def see_to_thread() -> None:
    """Ensure that a thread checks for due operations. The thread that stamps `progress` calls this."""
    global _owner_pid, _stop
    if _stopped_pid == os.getpid() or not _refreshes:
        return
    threading = threads.threading_module()
    if _stop is None or _owner_pid != os.getpid():
        _owner_pid, _stop = os.getpid(), threading.Event()
        _threads.clear()
        for refresh in _refreshes.values():
            refresh.running_since = None
    _threads[:] = [thread for thread in _threads if thread.is_alive()]
    if not _threads or _is_late():
        thread = threading.Thread(target=_run, args=(_stop,), name="healthboard-refresh", daemon=True)
        _threads.append(thread)
        try:
            threads.start(thread)
        except RuntimeError:
            # Python 3.12.0 and 3.12.1 start no thread once the main thread has ended.
            _threads.remove(thread)
            raise


def run_at_start() -> None:
    """Run each operation once at the start of this process, including those that its parent registered.

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
        for thread in _threads:
            thread.join(join_timeout)
        _threads.clear()


def restart() -> None:
    """Let the threads of this process end, and use new ones, because the kind of threads has changed."""
    global _stop
    if _stop is not None:
        _stop.set()
    _stop = None


def _is_late() -> bool:
    """Tell whether every thread waits for an operation that does not return."""
    begins = [refresh.running_since for refresh in _refreshes.values()]
    late = [begin for begin in begins if begin is not None and time.monotonic() - begin > _MAX_WAIT]
    return len(_threads) <= len(late) < len(_refreshes)


def _run(stop: threading.Event) -> None:
    this = threads.threading_module().current_thread()
    while not stop.is_set() and not sys.is_finalizing():
        wait = _CHECK_INTERVAL
        for refresh in list(_refreshes.values()):
            if refresh.running_since is not None:
                continue
            with notices.suppress_errors("refresh"):
                if refresh.due() <= 0.0:
                    refresh.run()
                wait = min(wait, refresh.due())
            if stop.is_set() or _threads[-1:] != [this]:
                # Another thread has taken over in the meantime.
                return
        stop.wait(wait)
