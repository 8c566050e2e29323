"""Stamps the indicator `progress` about once a second, from inside the interpreter or eventlet's hub."""

from __future__ import annotations

import atexit
import os
import sys

from . import _native, notices, refresher, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

# Seconds between two stamps.
STAMP_INTERVAL = 1.0

# The process that started the thread, the event that stops it, and the thread. A forked child has no such
# thread.
_thread: tuple[int, threading.Event, threading.Thread] | None = None


def start() -> bool:
    """Start stamping in this process, from the thread that records first.

    Return False if that thread cannot start it. The next recording calls this again.
    """
    _native.say_goodbye_on_sigterm()
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None and not uwsgi.has_threads:
        text = "uWSGI runs no Python threads without `enable-threads`"
        notices.warn_once("uwsgi", f"{text}: `progress` stays unknown, and nothing is refreshed")
        notices.flush(now=True)
        return True
    if threads.are_green() and not threads.are_native_beside_green():
        return _start_green_thread()
    return _start_native_thread()


# What a worker does at its start, before it has a request.
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


def tick() -> None:
    """Stamp `progress`, see that somebody refreshes, and log what the keeper cannot log itself."""
    with notices.suppress_errors("progress"):
        for warning, text in _native.tick():
            notices.add(text, warning=warning)
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
    from . import monkey_patch

    monkey_patch.watch()
    return True


def _start_green_thread() -> bool:
    import _thread as native

    # A thread of eventlet's pool has a hub of its own, which does not run. The kernel identifies the main
    # thread by the pid, also in a child that another thread has forked.
    if native.get_native_id() != os.getpid():
        return False
    eventlet = sys.modules["eventlet"]

    def run() -> None:
        while True:
            tick()
            eventlet.sleep(STAMP_INTERVAL)

    # A green thread rather than a timer of the hub: logging may block, and must not block the hub.
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
    notices.flush(now=True)
    # The goodbye follows when the interpreter has ended, which may take a second.
    _native.drain()
