"""amqp, below oslo.messaging's rabbit driver: connection attempts and frames are evidence for `message_bus`.

Above this layer an outage looks like one long operation, and a sent message may still be in a local buffer.
"""

from __future__ import annotations

import errno
import functools

from ... import Indicator
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def message_bus() -> Indicator:
    """Return the indicator. It is created on first use, so that only services that use AMQP have it."""
    # oslo.messaging asks for a heartbeat of 60 s. RabbitMQ then sends a frame every 30 s.
    return Indicator("message_bus", ttl=60, refresh_interval=40)


def judge(raised: BaseException) -> bool | None:
    """Judge an exception raised while waiting for a frame: False if the broker is unavailable."""
    if isinstance(raised, OSError):
        # A read timeout has no errno. EBADF: this process has closed the connection.
        idle = isinstance(raised, TimeoutError) and raised.errno is None
        return None if idle or raised.errno == errno.EBADF else False
    classes = {kind.__name__ for kind in type(raised).__mro__}
    if "AMQPError" not in classes:
        return None
    if classes & {"ChannelError", "ConsumerCancelled"}:
        # The broker sent these itself.
        return True
    # Without a reply code, this process has closed the connection itself.
    return False if getattr(raised, "reply_code", None) else None


def _record_frames(bus: Indicator) -> Any:
    # The `id` of the connection that received the newest frame.
    newest = 0

    def wrap(blocking_read: Any) -> Any:
        # Not an operation in flight: a consumer may wait for hours.
        @functools.wraps(blocking_read)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal newest
            connection = args[0] if args else None
            # A broker that refuses all clients sends frames, too. During the handshake `connect` is recorded.
            is_open = getattr(connection, "_handshake_complete", True)
            try:
                result = blocking_read(*args, **kwargs)
            except Exception as raised:
                outcome = judge(raised) if is_open else None
                # If another connection has received a frame since, this one was lost earlier: no news.
                if outcome is False and newest == id(connection):
                    bus.record_fail(raised)
                elif outcome:
                    bus.record_ok()
                raise
            newest = id(connection)
            if is_open:
                bus.record_ok()
            return result

        return wrapper

    return wrap


def _hook(connection: ModuleType) -> None:
    bus = message_bus()
    _patches.around(connection, "Connection.connect", bus.wrap)
    _patches.around(connection, "Connection.blocking_read", _record_frames(bus))


_patches = Patches({"amqp.connection": _hook})
install, uninstall = _patches.install, _patches.uninstall
