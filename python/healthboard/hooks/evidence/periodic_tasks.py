"""oslo.service's periodic tasks: their runs are evidence for `periodic_tasks`."""

from __future__ import annotations

import functools

from ... import Indicator
from ..patches import Patches
from . import looping_calls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# A loop that takes its interval from the tasks runs them at least every 60 s.
TTL = 180.0


def _record(run_periodic_tasks: Any) -> Any:
    # The function swallows the errors of the tasks. Only missing runs and hangs are evidence.
    @functools.wraps(run_periodic_tasks)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        # Created on first use: an API has no periodic tasks.
        ttl = looping_calls.ttl(TTL)
        with Indicator("periodic_tasks", impact="degrading", ttl=ttl, stall_after=300).begin():
            return run_periodic_tasks(*args, **kwargs)

    return wrapper


def _hook(module: ModuleType) -> None:
    _patches.around(module, "PeriodicTasks.run_periodic_tasks", _record)


_patches = Patches({"oslo_service.periodic_task": _hook})
install, uninstall = _patches.install, _patches.uninstall
