"""amqp, below kombu and oslo.messaging: the broker's answers are evidence for `message_bus` and its parts.

- `message_bus`: attempts to connect, frames, and requests that wait for an answer. A heartbeat that does not
  come is a failure. So is a connection that is lost, if no other one has received a frame since.
- `message_bus_publish`: a confirmation is a success. Without confirmations, writing into a socket proves
  nothing. A broker out of memory or disk says that it takes no messages (`Blocked`) and stops reading.
- `message_bus_consume`: a consumer that the broker cancels, as when its queue is deleted, or that is lost
  with its connection or channel, is in flight until the service has it again. A queue whose node is down is
  a failure.

Above this layer an outage looks like one long operation, and a sent message may still be in a local buffer.
"""

from __future__ import annotations

import functools
import os
import time
import weakref

from ... import Indicator, notices
from ...classify import judge
from ..patches import Patches
from .bus import Bus, Link
from .subscriptions import Subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from ...classify import Evidence

# The method that delivers a message.
DELIVER = (60, 60)

# The attribute of a connection that holds its link. A dictionary with weak keys would take several times as
# long.
LINK = "_healthboard_link"

WHAT = "hook for amqp"


def judge_publish(raised: BaseException) -> Evidence:
    """Judge an exception of a publish: a failure if the broker did not take the message."""
    # These failures are over when the broker takes another message. The refusal of a message by a queue is
    # not.
    if isinstance(raised, TimeoutError) or str(raised) == "basic_publish: timed out":
        return False
    meaning = judge(raised)
    # A connection that is lost is evidence for `message_bus`.
    return None if meaning is False else meaning


_message_bus: Bus | None = None


def message_bus() -> Bus:
    """Return the bus. It is created on first use, so that only a service that uses AMQP has indicators."""
    global _message_bus
    if _message_bus is not None:
        return _message_bus
    # oslo.messaging asks for a heartbeat of 60 s. RabbitMQ then sends a frame every 30 s.
    connecting = Indicator("message_bus", ttl=0, refresh_interval=40)
    # A day: the broker is asked only after a failure. Operations in flight are checked when they take long.
    publishing = Indicator("message_bus_publish", ttl=0, refresh_interval=86400)
    _message_bus = Bus(connecting, publishing)
    return _message_bus


def _consuming() -> Indicator:
    return Indicator("message_bus_consume", ttl=0)


subscriptions = Subscriptions(_consuming)

# The buses of kombu's connections that are not for `message_bus`. None stands for healthboard's own
# connection.
clients: weakref.WeakKeyDictionary[Any, Bus | None] = weakref.WeakKeyDictionary()

# The queue of each consumer of a channel, by the consumer's tag.
_queues: weakref.WeakKeyDictionary[Any, dict[str, str]] = weakref.WeakKeyDictionary()


def _link_of(connection: Any) -> Link | None:
    # A closed channel has no connection.
    return getattr(connection, LINK, None)


def bus_of(client: Any) -> Bus | None:
    """Return the bus of one of kombu's connections."""
    # `message_bus()` is not a default of `get`: that would make indicators that a service without need lacks.
    return clients[client] if client is not None and client in clients else message_bus()


def _record_attempts(connect: Any) -> Any:
    @functools.wraps(connect)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        link = None
        with notices.suppress_errors(WHAT):
            connection = args[0]
            bus = None if connection.connected else bus_of(getattr(connection, "client", None))
            if bus is not None:
                link = Link(bus, connection)
                setattr(connection, LINK, link)
        if link is None:
            return connect(*args, **kwargs)
        return link.bus.connect(link, connect, args, kwargs)

    return wrapper


def _record_frames(blocking_read: Any) -> Any:
    # This is not recorded as an operation in flight, since a consumer may wait for hours.
    @functools.wraps(blocking_read)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        link = _link_of(args[0]) if args else None
        # A broker that refuses all clients also sends frames. The handshake is part of the attempt to
        # connect.
        if link is None or not link.is_ready:
            return blocking_read(*args, **kwargs)
        link.is_read = True
        try:
            result = blocking_read(*args, **kwargs)
        except Exception as raised:
            with notices.suppress_errors(WHAT):
                _on_no_frame(link, raised)
            raise
        finally:
            link.is_read = False
        # A block of `suppress_errors` would take longer than all the rest.
        try:
            # The result is `False` for a heartbeat, and for the parts of a message before the last one.
            link.bus.receive(link, result is False)
        except Exception:
            with notices.suppress_errors(WHAT):
                raise
        return result

    return wrapper


def _on_no_frame(link: Link, raised: Exception) -> None:
    if isinstance(raised, TimeoutError) and raised.errno is None:
        link.last_empty_read = time.monotonic()
        link.bus.check_heartbeat(link)
        return
    meaning = judge(raised)
    if meaning is True or _is_of_channel(raised):
        link.bus.receive(link)
    elif meaning is False:
        link.bus.lose(link, raised)


def _is_of_channel(raised: Exception) -> bool:
    # The broker has closed a channel, whose connection works.
    return any(kind.__name__ == "ChannelError" for kind in type(raised).__mro__)


def _record_publish(publish: Any) -> Any:
    @functools.wraps(publish)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        link = _link_of(args[0].connection) if args else None
        if link is None:
            return publish(*args, **kwargs)
        # When this returns, the message is only in a buffer.
        result = link.bus.publishes.run(judge_publish, False, publish, args, kwargs)
        with notices.suppress_errors(WHAT):
            link.bus.write(link)
        return result

    return wrapper


def _record_confirmed_publish(publish: Any) -> Any:
    @functools.wraps(publish)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        link = _link_of(args[0].connection) if args else None
        if link is None:
            return publish(*args, **kwargs)
        return link.bus.publishes.run(judge_publish, True, publish, args, kwargs)

    return wrapper


def _record_requests(wait: Any) -> Any:
    @functools.wraps(wait)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        link = _link_of(args[0].connection) if args else None
        method = args[1] if len(args) > 1 else kwargs.get("method")
        # A list waits for the answer to a publish, which is recorded itself, or for any method.
        if link is None or isinstance(method, list) or method == DELIVER:
            return wait(*args, **kwargs)
        return link.bus.request(link, wait, args, kwargs)

    return wrapper


def _record_declarations(declare: Any) -> Any:
    @functools.wraps(declare)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        queue = args[1] if len(args) > 1 else kwargs.get("queue", "")
        try:
            result = declare(*args, **kwargs)
        except Exception as raised:
            with notices.suppress_errors(WHAT):
                if _is_of_channel(raised) and judge(raised) is False:
                    subscriptions.fail(queue, raised)
            raise
        with notices.suppress_errors(WHAT):
            subscriptions.recover(queue)
        return result

    return wrapper


def _on_blocked(connection: Any) -> None:
    link = _link_of(connection)
    if link is not None:
        link.bus.block(link)


def _on_unblocked(connection: Any) -> None:
    link = _link_of(connection)
    if link is not None:
        link.bus.unblock(link)


def _on_collect(connection: Any) -> None:
    link = _link_of(connection)
    if link is None or link.pid != os.getpid():
        return
    if not connection.is_closing:
        channels = (connection.channels or {}).values()
        queues = {queue for channel in list(channels) for queue in _queues_of(channel)}
        subscriptions.lose(_owner(connection), queues)


def _on_consume(tag: Any, channel: Any, queue: str = "", *_args: Any, **_kwargs: Any) -> None:
    if _link_of(channel.connection) is not None:
        _queues.setdefault(channel, {})[str(tag)] = queue
        subscriptions.add(_owner(channel.connection), queue)


def _on_cancel(channel: Any, consumer_tag: Any, *_args: Any, **_kwargs: Any) -> None:
    queue = _queues.get(channel, {}).pop(str(consumer_tag), None)
    if queue is not None and channel.connection is not None:
        subscriptions.drop(_owner(channel.connection), queue)


def _on_cancelled(channel: Any, consumer_tag: Any) -> None:
    queue = _queues.get(channel, {}).pop(str(consumer_tag), None)
    if queue is not None and channel.connection is not None:
        subscriptions.lose(_owner(channel.connection), [queue], "ConsumerCancelled")


def _on_delete(channel: Any, queue: str = "", *_args: Any, **_kwargs: Any) -> None:
    # The broker will cancel its consumers, which the service expects.
    channels = getattr(channel.connection, "channels", None) or {}
    for each in list(channels.values()):
        tags = _queues.get(each, {})
        for tag in [tag for tag, name in tags.items() if name == queue]:
            del tags[tag]


def _on_channel_closed(channel: Any, *_args: Any) -> None:
    if channel.connection is not None and not channel.is_closing and not channel.connection.is_closing:
        subscriptions.lose(_owner(channel.connection), _queues_of(channel))
        _queues.pop(channel, None)


def _queues_of(channel: Any) -> list[str]:
    return list(_queues.get(channel, {}).values())


def _owner(connection: Any) -> Any:
    # kombu's connection outlives those of amqp.
    return getattr(connection, "client", None) or connection


def _hook_connection(connection: ModuleType) -> None:
    _patches.around(connection, "Connection.connect", _record_attempts)
    _patches.around(connection, "Connection.blocking_read", _record_frames)
    _patches.before(connection, "Connection._on_blocked", _on_blocked)
    _patches.before(connection, "Connection._on_unblocked", _on_unblocked)
    _patches.before(connection, "Connection.collect", _on_collect)


def _hook_channel(channel: ModuleType) -> None:
    # Both call `_basic_publish`.
    _patches.around(channel, "Channel.basic_publish", _record_publish)
    _patches.around(channel, "Channel.basic_publish_confirm", _record_confirmed_publish)
    _patches.around(channel, "Channel.queue_declare", _record_declarations)
    _patches.after(channel, "Channel.basic_consume", _on_consume)
    _patches.before(channel, "Channel.basic_cancel", _on_cancel)
    _patches.before(channel, "Channel.queue_delete", _on_delete)
    _patches.before(channel, "Channel._on_basic_cancel", _on_cancelled)
    _patches.before(channel, "Channel._on_close", _on_channel_closed)


def _hook_wait(abstract_channel: ModuleType) -> None:
    _patches.around(abstract_channel, "AbstractChannel.wait", _record_requests)


_patches = Patches(
    {
        "amqp.connection": _hook_connection,
        "amqp.channel": _hook_channel,
        "amqp.abstract_channel": _hook_wait,
    }
)
install, uninstall = _patches.install, _patches.uninstall
