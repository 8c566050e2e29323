"""oslo.service: `periodic_tasks`, and processes that say they are draining before they stop."""

from __future__ import annotations

import functools

from .. import Indicator
from .drains import drain_before, watch_before
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _record(run_periodic_tasks: Any) -> Any:
    # Every 60 s. It swallows the errors of the tasks; what shows is that it does not run, or does not end.
    @functools.wraps(run_periodic_tasks)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        # Not at the import: nova-api has none.
        with Indicator("periodic_tasks", impact="degrading", ttl=180, stall_after=300).begin():
            return run_periodic_tasks(*args, **kwargs)

    return wrapper


def _hook_periodic_tasks(module: ModuleType) -> None:
    _patches.replace(module, "PeriodicTasks.run_periodic_tasks", _record)


def _hook_eventlet(module: ModuleType) -> None:
    _patches.replace(module, "Launcher.stop", drain_before)
    _patches.replace(module, "ProcessLauncher.__init__", watch_before)
    _patches.replace(module, "ProcessLauncher._handle_term", drain_before)


def _hook_threading(module: ModuleType) -> None:
    # Its other processes are cotyledon's, and before 4.5 all are.
    if hasattr(module.ProcessLauncher, "_graceful_shutdown"):
        _patches.replace(module, "ProcessLauncher._graceful_shutdown", drain_before)


def _hook_service(module: ModuleType) -> None:
    # Before 4.0 the classes are here, and eventlet's.
    if module.Launcher.__module__ == module.__name__:
        _hook_eventlet(module)


_patches = Patches(
    {
        "oslo_service.periodic_task": _hook_periodic_tasks,
        "oslo_service.backend._eventlet.service": _hook_eventlet,
        # 4.0 and 4.1.
        "oslo_service.backend.eventlet.service": _hook_eventlet,
        "oslo_service.backend._threading.service": _hook_threading,
        "oslo_service.service": _hook_service,
    }
)
install, uninstall = _patches.install, _patches.uninstall
