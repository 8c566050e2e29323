"""Workers of oslo.service and cotyledon end by `os._exit`, which runs no exit handlers."""

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
        # With any other status it is no end in good order, and somebody may want to know.
        if status == 0:
            _native.goodbye()
        os_exit(status)

    return _exit


def _hook(os: ModuleType) -> None:
    _patches.replace(os, "_exit", _say_goodbye)


_patches = Patches({"os": _hook})
install, uninstall = _patches.install, _patches.uninstall
