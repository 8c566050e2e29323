"""amqp, below oslo.messaging's rabbit driver: each attempt to connect is evidence for `message_bus`.

Above it, an outage looks like one long operation.
"""

from __future__ import annotations

from .oslo_messaging import BUS
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType


def _hook(connection: ModuleType) -> None:
    _patches.replace(connection, "Connection.connect", BUS.wrap)


_patches = Patches({"amqp.connection": _hook})
install, uninstall = _patches.install, _patches.uninstall
