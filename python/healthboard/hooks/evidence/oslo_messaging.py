"""oslo.messaging's rabbit driver: calls that wait for the broker are in flight for `message_bus`.

An RPC call without an answer is no evidence: the server that should answer may hang.
"""

from __future__ import annotations

import functools
import os

from ... import Indicator, launch, notices
from ...refresher import register
from ..patches import Patches
from .amqp import message_bus
from .in_flight import in_flight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# Seconds that the broker has to confirm the end of a connection.
CLOSE_TIMEOUT = 5.0


def _register_refresh_after(bus: Indicator) -> Any:
    def wrap(ensure_connection: Any) -> Any:
        @functools.wraps(ensure_connection)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = ensure_connection(*args, **kwargs)
            with notices.suppress_errors("refresh of message_bus"):
                register(bus, functools.partial(_refresh, args[0].connection.clone()))
            return result

        return wrapper

    return wrap


def _refresh(template: Any) -> None:
    # Always a connection of its own: the pool closes idle connections, and a driver that waits before its
    # next attempt does not notice that the broker is back.
    name = f"{launch.service()}:{os.getpid()}:healthboard"
    options = {**template.transport_options, "client_properties": {"connection_name": name}}
    connection = template.clone(transport_options=options)
    try:
        # Try each broker of a cluster once.
        retries = max(len(connection.alt), 1) - 1
        connection.ensure_connection(max_retries=retries, interval_start=0, interval_step=0)
        connection.connection.sock.settimeout(CLOSE_TIMEOUT)
    finally:
        connection.release()


def _hook(rabbit: ModuleType) -> None:
    undelivered = rabbit.exceptions.MessageDeliveryFailure

    def judge(raised: BaseException) -> bool | None:
        return False if isinstance(raised, undelivered) else None

    bus = message_bus()
    for name in ("_ensure_publishing", "declare_consumer"):
        # In an outage it neither returns nor raises. Its success is a frame, which amqp's hook records.
        _patches.around(rabbit, f"Connection.{name}", functools.partial(in_flight, bus, judge))
    _patches.around(rabbit, "Connection.ensure_connection", _register_refresh_after(bus))


_patches = Patches({"oslo_messaging._drivers.impl_rabbit": _hook})
install, uninstall = _patches.install, _patches.uninstall
