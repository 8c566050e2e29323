"""Whether threads are native or eventlet's green ones, and which kind ours use."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def are_green() -> bool:
    """Tell whether eventlet has replaced the threads of this process by green ones."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def are_native_beside_green() -> bool:
    """Tell whether our threads are native while the service's are green. Then the two may share nothing.

    This is so under uWSGI, where eventlet's hub does not run while there are no requests.
    """
    return "uwsgi" in sys.modules and are_green()


def threading_module() -> Any:
    """Return the `threading` module whose threads run in this process."""
    if are_native_beside_green():
        return sys.modules["eventlet.patcher"].original("threading")
    import threading

    return threading


def start(thread: Any) -> None:
    """Start a thread of ours, with all signals blocked: the service's own threads take those of the service.

    A handler may belong to one thread. That of a uWSGI worker ends the interpreter, and never comes to an end
    in a thread that this waits for.
    """
    if are_green() and not are_native_beside_green():
        thread.start()
        return
    import signal

    # These are sent to the thread that causes them, and a blocked one kills the process.
    own = {signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
    # A thread inherits what is blocked in the one that starts it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - own)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
