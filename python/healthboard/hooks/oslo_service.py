"""oslo.service: runs of the periodic tasks are evidence for `periodic_tasks`.

Processes drain before they stop. A master refreshes nothing.
"""

from __future__ import annotations

import functools

from .. import Indicator
from .lifecycle import drain_before, watch_before
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _record(run_periodic_tasks: Any) -> Any:
    # Runs every 60 s and swallows the errors of the tasks. Only its absence and its hangs are evidence.
    @functools.wraps(run_periodic_tasks)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        # Created on first use: nova-api has no periodic tasks.
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
    # Workers are cotyledon's, whose own hook drains them. Before 4.5 the master is cotyledon's, too.
    if hasattr(module.ProcessLauncher, "_graceful_shutdown"):
        _patches.replace(module, "ProcessLauncher._graceful_shutdown", drain_before)


def _hook_service(module: ModuleType) -> None:
    # Before 4.0 eventlet's classes are defined here.
    if module.Launcher.__module__ == module.__name__:
        _hook_eventlet(module)


_patches = Patches(
    {
        "oslo_service.periodic_task": _hook_periodic_tasks,
        "oslo_service.backend._eventlet.service": _hook_eventlet,
        # Its name in 4.0 and 4.1.
        "oslo_service.backend.eventlet.service": _hook_eventlet,
        "oslo_service.backend._threading.service": _hook_threading,
        "oslo_service.service": _hook_service,
    }
)
install, uninstall = _patches.install, _patches.uninstall
