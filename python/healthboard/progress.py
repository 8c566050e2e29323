"""Stamps the indicator `progress` from inside, about once a second: the interpreter, or eventlet's hub."""

from __future__ import annotations

import atexit
import os
import sys

from . import _native, notices, refresh, threads

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

# How often it is stamped, in seconds.
INTERVAL = 1.0

# What stops the thread, and the process that it belongs to: a forked child has neither.
_thread: tuple[int, threading.Event, threading.Thread] | None = None


def begin() -> bool:
    """Begin in this process, at its first recording, in whatever thread. False: ask again at the next."""
    uwsgi = sys.modules.get("uwsgi")
    if uwsgi is not None and not uwsgi.has_threads:
        text = "uWSGI runs no Python thread without `enable-threads`"
        notices.say_once("uwsgi", f"{text}: `progress` is not known, and nothing is refreshed")
        notices.log(now=True)
        return True
    if threads.are_green() and not threads.are_apart():
        return _begin_in_hub()
    return _begin_thread()


def attach() -> None:
    """Begin in this process although nothing was recorded in it yet."""
    refresh.inherit()
    _native.attach()


def tick() -> None:
    """Stamp, begin what was offered to refresh, and log for the native thread, which has no way to."""
    with notices.swallowed("progress"):
        for warning, text in _native.tick():
            notices.say(text, warning=warning)
        notices.log()
        refresh.begin()


def _begin_thread() -> bool:
    global _thread
    threading = threads.module()
    stop = threading.Event()

    def run() -> None:
        tick()
        while not stop.wait(INTERVAL):
            tick()

    thread = threading.Thread(target=run, name="healthboard", daemon=True)
    _thread = os.getpid(), stop, thread
    thread.start()
    return True


def _begin_in_hub() -> bool:
    import _thread as native

    # A thread of eventlet's pool has a hub of its own, which nobody waits in. The main thread is the one that
    # the kernel calls by the pid, also in a child forked by another one.
    if native.get_native_id() != os.getpid():
        return False
    eventlet = sys.modules["eventlet"]

    def run() -> None:
        while True:
            tick()
            eventlet.sleep(INTERVAL)

    # A green thread and not a timer of the hub: whoever logs may have to wait, and the hub itself must not.
    eventlet.spawn_n(run)
    return True


@atexit.register
def _end() -> None:
    if _thread is not None and _thread[0] == os.getpid():
        # A thread that is cut off while it logs may leave a lock behind that the interpreter needs to end.
        _, stop, thread = _thread
        stop.set()
        thread.join(timeout=1.0)
    refresh.leave(patience=0.1)
    notices.log(now=True)
    # The goodbye follows when the interpreter has ended, which may take a second.
    _native.drain()
