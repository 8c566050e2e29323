"""`os._exit`, which runs no exit handlers. Workers of oslo.service and cotyledon end with it."""

from __future__ import annotations

import functools

from .. import _native
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _say_goodbye(os_exit: Any) -> Any:
    @functools.wraps(os_exit)
    def _exit(status: int) -> None:
        # With any other status the process did not end in good order.
        if status == 0:
            _native.goodbye()
        os_exit(status)

    return _exit


def _hook(os: ModuleType) -> None:
    _patches.replace(os, "_exit", _say_goodbye)


_patches = Patches({"os": _hook})
install, uninstall = _patches.install, _patches.uninstall
