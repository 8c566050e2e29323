"""cotyledon: masters and workers drain before they stop. A master refreshes nothing."""

from __future__ import annotations

from .lifecycle import drain_before, watch_before
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _hook_master(module: ModuleType) -> None:
    _patches.replace(module, "ServiceManager.__init__", watch_before)
    _patches.replace(module, "ServiceManager._shutdown", drain_before)


def _hook_worker(module: ModuleType) -> None:
    _patches.replace(module, "ServiceWorker._service_terminate", drain_before)


def _hook_service(module: ModuleType) -> None:
    # Before 2.1 a worker terminates here.
    if hasattr(module.Service, "_terminate"):
        _patches.replace(module, "Service._terminate", drain_before)


_patches = Patches(
    {
        "cotyledon._service_manager": _hook_master,
        "cotyledon._service_worker": _hook_worker,
        "cotyledon._service": _hook_service,
    }
)
install, uninstall = _patches.install, _patches.uninstall
