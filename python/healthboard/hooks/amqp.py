"""amqp, below oslo.messaging's rabbit driver: attempts to connect and frames are evidence for `message_bus`.

Above it, an outage looks like one long operation, and what was sent may lie in a buffer of this host.
"""

from __future__ import annotations

import errno
import functools

from .. import Indicator
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def message_bus() -> Indicator:
    """Return the indicator, which only a service that speaks AMQP has."""
    # With the heartbeat that oslo.messaging asks for, 60 s, RabbitMQ sends something every 30 s.
    return Indicator("message_bus", ttl=60, refresh_interval=40)


def judge(raised: BaseException) -> bool | None:
    """Tell what an exception while waiting for a frame says of the broker: False that it has gone."""
    if isinstance(raised, OSError):
        # Nothing came in time, which has no number; or the connection was closed in this process.
        idle = isinstance(raised, TimeoutError) and raised.errno is None
        return None if idle or raised.errno == errno.EBADF else False
    classes = {kind.__name__ for kind in type(raised).__mro__}
    if "AMQPError" not in classes:
        return None
    if classes & {"ChannelError", "ConsumerCancelled"}:
        # It answered, or has told us.
        return True
    # Without a code, nobody but this process has closed the connection.
    return False if getattr(raised, "reply_code", None) else None


def _record_frames(bus: Indicator) -> Any:
    # The connection that the newest frame came over.
    newest = 0

    def wrap(blocking_read: Any) -> Any:
        # Not in flight: a consumer waits for hours.
        @functools.wraps(blocking_read)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal newest
            connection = args[0] if args else None
            # A broker that lets nobody in sends frames, too: until then `connect` tells.
            is_in = getattr(connection, "_handshake_complete", True)
            try:
                result = blocking_read(*args, **kwargs)
            except Exception as raised:
                said = judge(raised) if is_in else None
                # Where something came over another one since, this one went long ago and is only now missed.
                if said is False and newest == id(connection):
                    bus.record_fail(raised)
                elif said:
                    bus.record_ok()
                raise
            newest = id(connection)
            if is_in:
                bus.record_ok()
            return result

        return wrapper

    return wrap


def _hook(connection: ModuleType) -> None:
    bus = message_bus()
    _patches.replace(connection, "Connection.connect", bus.wrap)
    _patches.replace(connection, "Connection.blocking_read", _record_frames(bus))


_patches = Patches({"amqp.connection": _hook})
install, uninstall = _patches.install, _patches.uninstall
