"""Nova: nova-compute reaches the databases through nova-conductor."""

from __future__ import annotations

from ..patches import Patches
from . import databases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _hook(_compute: ModuleType) -> None:
    databases.is_indirect = True


_patches = Patches({"nova.cmd.compute": _hook})
install, uninstall = _patches.install, _patches.uninstall
