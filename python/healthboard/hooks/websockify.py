"""websockify, on which Nova's console proxies are built: the processes of consoles refresh nothing.

There is one for each open console, and there may be thousands.
"""

from __future__ import annotations

from .lifecycle import stop_refresh_before
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _hook(server: ModuleType) -> None:
    _patches.replace(server, "WebSockifyServer.top_new_client", stop_refresh_before)


_patches = Patches({"websockify.websockifyserver": _hook})
install, uninstall = _patches.install, _patches.uninstall
