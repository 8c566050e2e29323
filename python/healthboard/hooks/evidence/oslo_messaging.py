"""oslo.messaging's rabbit driver: connections that only send notifications are those of `notification_bus`.

A service works also while it cannot notify, so this is degrading. Connections for RPC, and to listen for
notifications, are those of `message_bus`.

An RPC call without an answer is no evidence: the server that should answer may hang.
"""

from __future__ import annotations

import weakref

from ... import Indicator
from ..patches import Patches
from .amqp import clients
from .bus import Bus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# The drivers of transports for notifications, and the driver's connections that only send these.
_drivers: weakref.WeakSet[Any] = weakref.WeakSet()
_notifying: weakref.WeakSet[Any] = weakref.WeakSet()


_notification_bus: Bus | None = None


def notification_bus() -> Bus:
    """Return the bus for notifications. It is created on first use."""
    global _notification_bus
    if _notification_bus is not None:
        return _notification_bus
    connecting = Indicator("notification_bus", impact="degrading", ttl=0, refresh_interval=40)
    publishing = Indicator("notification_bus_publish", impact="degrading", ttl=0, refresh_interval=86400)
    _notification_bus = Bus(connecting, publishing)
    return _notification_bus


def _on_transport(transport: Any, driver: Any) -> None:
    _drivers.add(driver)


def _on_connection(connection: Any, _conf: Any, url: Any, purpose: str, *_args: Any, **_kwargs: Any) -> None:
    # Each driver has its own URL object. Equal URLs may belong to different transports.
    if purpose == "send" and any(driver._url is url for driver in _drivers):
        _notifying.add(connection)


def _before_connecting(connection: Any) -> None:
    if connection in _notifying:
        clients[connection.connection] = notification_bus()


def _hook_transport(transport: ModuleType) -> None:
    _patches.before(transport, "NotificationTransport.__init__", _on_transport)


def _hook_driver(rabbit: ModuleType) -> None:
    _patches.before(rabbit, "Connection.__init__", _on_connection)
    _patches.before(rabbit, "Connection.ensure_connection", _before_connecting)


_patches = Patches(
    {"oslo_messaging.transport": _hook_transport, "oslo_messaging._drivers.impl_rabbit": _hook_driver}
)
install, uninstall = _patches.install, _patches.uninstall
