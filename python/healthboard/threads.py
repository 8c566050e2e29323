"""Whether threads are native or eventlet's green ones, and which kind healthboard uses."""

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
    """Tell whether healthboard's threads are native while the service's are green. They then share nothing.

    This is so under uWSGI, where eventlet's hub does not run while there are no requests.
    """
    return "uwsgi" in sys.modules and are_green()


def threading_module() -> Any:
    """Return the `threading` module whose threads healthboard uses in this process."""
    if are_native_beside_green():
        return sys.modules["eventlet.patcher"].original("threading")
    import threading

    return threading


def start(thread: Any) -> None:
    """Start a thread of healthboard with all signals blocked, so that the service's threads get its signals.

    A handler may be made for a certain thread. That of a uWSGI worker ends the interpreter, which waits for
    its threads: it would never return in one of them.
    """
    if are_green() and not are_native_beside_green():
        thread.start()
        return
    import signal

    # These are sent to the thread that causes them. If such a signal is blocked, the kernel ends the process.
    own = {signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
    # A thread inherits the signal mask of the thread that starts it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - own)
    try:
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
