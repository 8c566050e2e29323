"""Stamps the indicator `progress` about once a second, from within the component that has to progress.

That is eventlet's hub, or an event loop in the main thread, or else the interpreter, by means of a thread.
"""

from __future__ import annotations

import atexit
import os
import sys

from . import _native, notices, refresher, stacks, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import threading
    from collections.abc import Callable

# Seconds between two stamps.
STAMP_INTERVAL = 1.0

# The process that started the thread, the event that stops it, and the thread. A forked child has no such
# thread.
_thread: tuple[int, threading.Event, threading.Thread] | None = None

# The event loops that run in the main thread, nested.
_loops: list[LoopStamps] = []


def start() -> bool:
    """Start stamping in this process, from the thread that records first.

    Return False if that thread cannot start it. The next recording calls this again.
    """
    _native.watch_signals()
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None and not uwsgi.has_threads:
        text = "uWSGI runs no Python threads without `enable-threads`"
        notices.warn_once("uwsgi", f"{text}: `progress` stays unknown, and nothing is refreshed")
        notices.flush(now=True)
        return True
    with notices.suppress_errors("stacks"):
        stacks.start()
    if threads.are_green() and not threads.are_native_beside_green():
        return _start_green_thread()
    return _start_native_thread()


# Functions that a worker calls at its start, before it has a request.
looks_at_start: list[Callable[[], None]] = []


def attach() -> None:
    """Start health in this process before its first recording."""
    for look in looks_at_start:
        with notices.suppress_errors("look at start"):
            look()
    refresher.run_at_start()
    _native.attach()


def has_native_thread() -> bool:
    """Tell whether a native thread stamps `progress` in this process."""
    return _thread is not None and _thread[0] == os.getpid()


def stop_native_thread() -> None:
    """Stop the native thread that stamps `progress`, without waiting for its end."""
    global _thread
    if _thread is not None:
        _thread[1].set()
        _thread = None


class LoopStamps:
    """The stamps of an event loop while it runs in the main thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pid = os.getpid()
        self._timer: asyncio.TimerHandle | None = None

    def is_of_this_process(self) -> bool:
        """Tell whether it belongs to this process rather than to the process that has forked it."""
        return self._pid == os.getpid()

    def stamp(self) -> None:
        """Stamp now and from now on. Runs in the loop."""
        if self in _loops:
            _native.stamp()
            self._timer = self._loop.call_later(STAMP_INTERVAL, self.stamp)

    def start(self) -> None:
        """Stamp from now on. Runs in any thread."""
        self._loop.call_soon_threadsafe(self.stamp)

    def end(self) -> None:
        """Leave stamping to the thread again, because the loop no longer runs."""
        _loops.remove(self)
        if self._timer is not None:
            self._timer.cancel()
            _native.stamp()


def begin_loop(loop: asyncio.AbstractEventLoop) -> LoopStamps | None:
    """Stamp from this loop, which is about to run, if it runs in the main thread."""
    import _thread as native

    if threads.are_green() or native.get_native_id() != os.getpid():
        return None
    stamps = LoopStamps(loop)
    _loops.append(stamps)
    if _thread is not None and _thread[0] == os.getpid():
        stamps.stamp()
    return stamps


def _loop_stamps() -> LoopStamps | None:
    return _loops[-1] if _loops and _loops[-1].is_of_this_process() else None


def tick() -> None:
    """Stamp `progress`, ensure that a thread refreshes, and log what the keeper cannot log itself."""
    with notices.suppress_errors("progress"):
        if _loop_stamps() is None:
            _native.stamp()
        for warning, text, change in _native.take_notices():
            notices.add(text, warning=warning, change=change)
        notices.flush()
        refresher.see_to_thread()


def _start_native_thread() -> bool:
    global _thread
    threading = threads.threading_module()
    stop = threading.Event()

    def run() -> None:
        tick()
        while not stop.wait(STAMP_INTERVAL):
            tick()

    thread = threading.Thread(target=run, name="healthboard", daemon=True)
    _thread = os.getpid(), stop, thread
    threads.start(thread)
    loop_stamps = _loop_stamps()
    if loop_stamps is not None:
        with notices.suppress_errors("asyncio"):
            loop_stamps.start()
    from . import monkey_patch

    monkey_patch.watch()
    return True


def _start_green_thread() -> bool:
    import _thread as native

    # A thread of eventlet's pool has its own hub, which does not run. The main thread is the one whose id is
    # the pid, even in a child that another thread has forked.
    if native.get_native_id() != os.getpid():
        return False
    eventlet = sys.modules["eventlet"]

    def run() -> None:
        while True:
            tick()
            eventlet.sleep(STAMP_INTERVAL)

    # A timer of the hub would not do: logging may block, and must not block the hub.
    eventlet.spawn_n(run)
    return True


@atexit.register
def _stop() -> None:
    if _thread is not None and _thread[0] == os.getpid():
        # A thread that is killed while it logs may hold a lock that the interpreter needs to exit.
        _, stop, thread = _thread
        stop.set()
        thread.join(timeout=1.0)
    refresher.stop(join_timeout=0.1)
    _native.end_trace()
    notices.flush(now=True)
    if not isinstance(getattr(sys, "last_value", None), Exception):
        # The goodbye follows when the interpreter has ended, which may take a second.
        _native.begin_to_end()
