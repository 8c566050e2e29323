"""Stamps the indicator `progress` from inside, about once a second: the interpreter, or eventlet's hub."""

from __future__ import annotations

import atexit
import os
import sys

from . import _native, notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    import threading

# What stops the thread, and the process that it belongs to: a forked child has neither.
_thread: tuple[int, threading.Event, threading.Thread] | None = None


def begin() -> bool:
    """Begin in this process, at its first recording, in whatever thread. False: ask again at the next."""
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is not None and patcher.is_monkey_patched("thread"):
        return _begin_in_hub()
    return _begin_thread()


def tick() -> None:
    """Stamp, and log what the native thread, which has no way to, wants to say."""
    with notices.swallowed("progress"):
        for warning, text in _native.tick():
            notices.say(text, warning=warning)
        notices.log()


def _begin_thread() -> bool:
    global _thread
    import threading

    stop = threading.Event()

    def run() -> None:
        tick()
        while not stop.wait(1.0):
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
            eventlet.sleep(1.0)

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
    notices.log(now=True)
    # The goodbye follows when the interpreter has ended, which may take a second.
    _native.drain()
