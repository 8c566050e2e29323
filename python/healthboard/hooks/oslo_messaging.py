"""oslo.messaging's rabbit driver: what waits for an answer of the broker is in flight for `message_bus`.

That an RPC call was not answered says nothing of the bus: whoever should have may hang.
"""

from __future__ import annotations

import functools
import os

from .. import Indicator, launch, notices
from ..refresh import offer
from .amqp import message_bus
from .flight import in_flight
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# How long the broker may take to say goodbye, in seconds.
GOODBYE = 5.0


def _offer_after(bus: Indicator) -> Any:
    def wrap(ensure_connection: Any) -> Any:
        @functools.wraps(ensure_connection)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            result = ensure_connection(*args, **kwargs)
            with notices.swallowed("refresh of message_bus"):
                offer(bus, functools.partial(_refresh, args[0].connection.clone()))
            return result

        return wrapper

    return wrap


def _refresh(like: Any, _failing: bool) -> None:
    # The pool closes connections that nobody uses, and whoever waits for the next attempt does not learn that
    # the broker is back.
    name = f"{launch.service()}:{os.getpid()}:healthboard"
    options = {**like.transport_options, "client_properties": {"connection_name": name}}
    connection = like.clone(transport_options=options)
    try:
        # Each broker of a cluster once.
        retries = max(len(connection.alt), 1) - 1
        connection.ensure_connection(max_retries=retries, interval_start=0, interval_step=0)
        connection.connection.sock.settimeout(GOODBYE)
    finally:
        connection.release()


def _hook(rabbit: ModuleType) -> None:
    undelivered = rabbit.exceptions.MessageDeliveryFailure

    def judge(raised: BaseException) -> bool | None:
        return False if isinstance(raised, undelivered) else None

    bus = message_bus()
    for name in ("_ensure_publishing", "declare_consumer"):
        # In an outage it neither returns nor raises. Its success comes in a frame, which amqp's hook sees.
        _patches.replace(rabbit, f"Connection.{name}", functools.partial(in_flight, bus, judge))
    _patches.replace(rabbit, "Connection.ensure_connection", _offer_after(bus))


_patches = Patches({"oslo_messaging._drivers.impl_rabbit": _hook})
install, uninstall = _patches.install, _patches.uninstall
