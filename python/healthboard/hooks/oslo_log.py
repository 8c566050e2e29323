"""oslo.log: notices from before the service configured its logging are logged right after."""

from __future__ import annotations

import functools

from .. import notices
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _release_after(setup: Any) -> Any:
    @functools.wraps(setup)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = setup(*args, **kwargs)
        with notices.suppress_errors("logging"):
            notices.release()
        return result

    return wrapper


def _hook(log: ModuleType) -> None:
    notices.defer()
    _patches.replace(log, "setup", _release_after)


_patches = Patches({"oslo_log.log": _hook})
install, uninstall = _patches.install, _patches.uninstall
