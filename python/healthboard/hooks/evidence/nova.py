"""Nova: the report that a service writes to the database every 10 s is evidence for `service_report`.

nova-compute reaches the databases through nova-conductor.
"""

from __future__ import annotations

import functools

from ... import Indicator
from ..patches import Patches
from . import databases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _record(report_state: Any) -> Any:
    @functools.wraps(report_state)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        # Created on first use: nova-api makes no reports.
        with Indicator("service_report", impact="degrading", ttl=60).begin() as operation:
            result = report_state(*args, **kwargs)
            # `_report_state` swallows every exception and sets this flag.
            if any(getattr(argument, "model_disconnected", False) is True for argument in args):
                operation.fail("NotReported")
        return result

    return wrapper


def _hook(db: ModuleType) -> None:
    _patches.around(db, "DbDriver._report_state", _record)


def _hook_compute(_compute: ModuleType) -> None:
    databases.is_indirect = True


_patches = Patches({"nova.servicegroup.drivers.db": _hook, "nova.cmd.compute": _hook_compute})
install, uninstall = _patches.install, _patches.uninstall
