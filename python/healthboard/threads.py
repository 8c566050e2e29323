"""Which threads run, whatever the service has done to them."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def are_green() -> bool:
    """Tell whether eventlet has made green threads of them."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and bool(patcher.is_monkey_patched("thread"))


def are_apart() -> bool:
    """Tell whether ours are native ones beside green ones, and so may share nothing with the service.

    Under uWSGI eventlet's hub does not run while there are no requests.
    """
    return "uwsgi" in sys.modules and are_green()


def module() -> Any:
    """Return the `threading` whose threads run."""
    if are_apart():
        return sys.modules["eventlet.patcher"].original("threading")
    import threading

    return threading
