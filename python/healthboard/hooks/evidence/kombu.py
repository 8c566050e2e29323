"""kombu, in Celery and below oslo.messaging: a service without a connection asks over one of ours.

Such a service connects only to publish, or has given up. Nothing is asked while a connection of the service
lives, nor while the service itself tries to connect; but after a publish that failed, until one is confirmed.
"""

from __future__ import annotations

import contextlib
import os

from ... import launch
from ..patches import Patches
from .amqp import bus_of, clients, subscriptions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from .bus import Bus

# Seconds within which the broker must answer.
TIMEOUT = 5.0

# No queue has this name. The broker drops the message and confirms it.
NO_QUEUE = "healthboard"


class _Asking:
    """healthboard's own connection to the broker of the service's newest connection."""

    def __init__(self) -> None:
        self.template: Any = None
        self._connection: Any = None
        self._pid = 0

    def ask(self) -> None:
        """Publish a message that no queue gets. A broker without memory or disk does not confirm it."""
        if self._pid != os.getpid():
            # A forked child neither uses nor closes its parent's.
            self._connection, self._pid = None, os.getpid()
        try:
            if self._connection is None:
                self._connection = self._connect()
            channel = self._connection.default_channel
            # A channel's error is an answer: this user may not publish like this.
            with contextlib.suppress(*self._connection.channel_errors):
                channel.basic_publish(channel.prepare_message(b"", properties={}), "", NO_QUEUE)
        except Exception:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.collect()
            raise

    def stop(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None and self._pid == os.getpid():
            connection.release()

    def _connect(self) -> Any:
        # A new object is made even after a failure: kombu's keeps using the cluster member that has failed.
        name = f"{launch.service()}:{os.getpid()}:healthboard"
        unwanted = ("on_blocked", "on_unblocked")
        options = self.template.transport_options.items()
        options = {name: value for name, value in options if name not in unwanted}
        options |= {"client_properties": {"connection_name": name}, "confirm_publish": True}
        # Heartbeats are not needed, since each question proves that the connection works.
        connection = self.template.clone(transport_options=options, heartbeat=0, connect_timeout=TIMEOUT)
        clients[connection] = None
        # Try each broker of a cluster once.
        retries = max(len(connection.alt), 1) - 1
        connection.ensure_connection(
            max_retries=retries, interval_start=0, interval_step=0, reraise_as_library_errors=False
        )
        connection.connection.sock.settimeout(TIMEOUT)
        return connection


_asking: dict[Bus, _Asking] = {}


def _asking_for(bus: Bus) -> _Asking:
    asking = _asking.get(bus)
    if asking is None:
        asking = _asking[bus] = _Asking()
        bus.ask, bus.stop_asking = asking.ask, asking.stop
    return asking


def _before_connecting(transport: Any, *_args: Any, **_kwargs: Any) -> None:
    bus = bus_of(transport.client)
    if bus is not None:
        _asking_for(bus).template = transport.client.clone()


def _after_release(_result: Any, connection: Any, *_args: Any, **_kwargs: Any) -> None:
    subscriptions.drop(connection)


def _hook_transport(pyamqp: ModuleType) -> None:
    _patches.before(pyamqp, "Transport.establish_connection", _before_connecting)


def _hook_connection(connection: ModuleType) -> None:
    for name in ("release", "close"):
        _patches.after(connection, f"Connection.{name}", _after_release)


_patches = Patches({"kombu.transport.pyamqp": _hook_transport, "kombu.connection": _hook_connection})
install, uninstall = _patches.install, _patches.uninstall
