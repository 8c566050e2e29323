"""websockify, which Nova's console proxies are: a process for each console refreshes nothing.

There may be thousands, and each ends with its console.
"""

from __future__ import annotations

from .drains import leave_before
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _hook(server: ModuleType) -> None:
    _patches.replace(server, "WebSockifyServer.top_new_client", leave_before)


_patches = Patches({"websockify.websockifyserver": _hook})
install, uninstall = _patches.install, _patches.uninstall
