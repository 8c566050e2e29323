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
