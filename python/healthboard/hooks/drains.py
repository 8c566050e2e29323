"""What the hooks of all libraries that stop services have in common."""

from __future__ import annotations

import functools

from .. import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def drain_before(stop: Any) -> Any:
    """Say that the process is going to end, then do what `stop` does."""

    @functools.wraps(stop)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        _native.drain()
        return stop(*args, **kwargs)

    return wrapper
