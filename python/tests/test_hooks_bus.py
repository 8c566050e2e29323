"""`message_bus` on the real amqp and oslo.messaging, with a minimal AMQP broker."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from test_hooks import START, details

from conftest import Service, eventually

pytest.importorskip("amqp")
dumps = pytest.importorskip("amqp.serialization").dumps

METHOD, BODY, HEARTBEAT = 1, 3, 8

# The broker's answers, by class and method: class and method, then the types and values of the arguments.
ANSWERS = {
    (10, 11): ((10, 30), "BlB", (2047, 131072, 0)),
    (10, 40): ((10, 41), "s", ("",)),
    (10, 50): ((10, 51), "", ()),
    (20, 10): ((20, 11), "S", ("",)),
    (20, 40): ((20, 41), "", ()),
    (40, 10): ((40, 11), "", ()),
    (85, 10): ((85, 11), "", ()),
}
START_OK, ACK = (10, 11), ((60, 80), "Lb", (1, False))


class Broker:
    """A broker that can be frozen, be closed, or refuse all clients."""

    def __init__(self) -> None:
        self.refuses = False
        self.thawed = threading.Event()
        self.thawed.set()
        # The properties that its clients sent, among them the names of their connections.
        self.client_properties = b""
        self._connections: list[socket.socket] = []
        self.port = 0
        self.open()

    def open(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._socket,), daemon=True).start()

    def close(self) -> None:
        for connection in [self._socket, *self._connections]:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._connections.clear()

    def beat(self) -> None:
        for connection in self._connections:
            connection.sendall(frame(HEARTBEAT, 0, b""))

    def _accept(self, listener: socket.socket) -> None:
        try:
            while True:
                connection, _ = listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()
        except OSError:
            pass

    def _serve(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        try:
            stream.read(8)
            start = (10, 10), "ooFSS", (0, 9, {}, "PLAIN AMQPLAIN", "en_US")
            connection.sendall(method(0, *start))
            while header := stream.read(7):
                kind, channel, size = struct.unpack(">BHI", header)
                payload = stream.read(size + 1)
                self.thawed.wait()
                called = struct.unpack(">HH", payload[:4]) if kind == METHOD else None
                if called == START_OK:
                    self.client_properties += payload
                    if self.refuses:
                        connection.close()
                        return
                if called in ANSWERS:
                    connection.sendall(method(channel, *ANSWERS[called]))
                elif kind == BODY:
                    connection.sendall(method(channel, *ACK))
        except OSError:
            pass


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def method(channel: int, called: tuple[int, int], types: str, values: tuple[object, ...]) -> bytes:
    return frame(METHOD, channel, struct.pack(">HH", *called) + (dumps(types, values) if types else b""))


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.thawed.set()
    broker.close()


@pytest.fixture
def bus(service: Service, broker: Broker) -> Service:
    service.environment["PORT"] = str(broker.port)
    return service


CONNECTED = """
import amqp
connection = amqp.Connection(f"127.0.0.1:{os.environ['PORT']}", connect_timeout=2)
connection.connect()
def consume():
    while True:
        try: connection.drain_events(timeout=0.1)
        except TimeoutError: pass
"""


def test_waiting_for_a_silent_broker_is_no_evidence(bus: Service, broker: Broker) -> None:
    bus.environment["HEALTHBOARD_MESSAGE_BUS__TTL"] = "1"
    bus.start(START + CONNECTED + "consume()")
    details(bus, "message_bus", state="stale", failures=0, in_flight=0)
    assert bus.health()["status"] == "DEGRADED"
    broker.beat()
    details(bus, "message_bus", state="passing")


def test_a_broker_that_closes_its_connections_is_a_failure_at_once(bus: Service, broker: Broker) -> None:
    bus.start(START + CONNECTED + "print('in', flush=True)\ntry: consume()\nexcept OSError: sys.stdin.read()")
    details(bus, "message_bus", state="passing")
    broker.close()
    details(bus, "message_bus", state="transient", failures=1)


def test_a_broker_that_refuses_all_clients_is_a_failure(bus: Service, broker: Broker) -> None:
    broker.refuses = True
    bus.start(
        START
        + CONNECTED.replace("connection.connect()", "")
        + """
for _ in range(3):
    try: amqp.Connection(f"127.0.0.1:{os.environ['PORT']}").connect()
    except OSError: pass
sys.stdin.read()
"""
    )
    details(bus, "message_bus", state="transient", failures=3)


def test_a_connection_that_this_process_closes_is_no_failure(bus: Service) -> None:
    bus.start(START + CONNECTED + "connection.close(); print('closed', flush=True); sys.stdin.read()")
    details(bus, "message_bus", state="passing", failures=0)


def test_a_connection_lost_before_a_newer_one_worked_is_no_failure(bus: Service) -> None:
    bus.start(
        START
        + CONNECTED
        + """
newer = amqp.Connection(f"127.0.0.1:{os.environ['PORT']}")
newer.connect()
import socket
connection.sock.shutdown(socket.SHUT_RDWR)
try: consume()
except OSError: print("gone", flush=True)
sys.stdin.read()
"""
    )
    details(bus, "message_bus", state="passing", failures=0)
    assert bus.end() == "gone\n"


RABBIT = """
from oslo_config import cfg
import oslo_messaging
conf = cfg.CONF
conf([], default_config_files=[], default_config_dirs=[])
transport = oslo_messaging.get_rpc_transport(conf, f"rabbit://u:CANARY@127.0.0.1:{os.environ['PORT']}/")
client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic="t"))
"""


@pytest.fixture
def rabbit(bus: Service) -> Service:
    pytest.importorskip("oslo_messaging")
    return bus


def test_a_message_that_the_broker_does_not_confirm_is_in_flight(rabbit: Service, broker: Broker) -> None:
    rabbit.start(
        START
        + RABBIT
        + "client.cast({}, 'ping'); sys.stdin.readline(); client.cast({}, 'ping'); sys.stdin.read()"
    )
    details(rabbit, "message_bus", state="passing", in_flight=0)
    broker.thawed.clear()
    assert rabbit.process is not None
    assert rabbit.process.stdin is not None
    rabbit.process.stdin.write("\n")
    rabbit.process.stdin.flush()
    details(rabbit, "message_bus", in_flight=1)
    broker.thawed.set()
    details(rabbit, "message_bus", state="passing", in_flight=0)


def test_an_idle_service_notices_that_the_broker_goes_and_returns(rabbit: Service, broker: Broker) -> None:
    rabbit.environment["HEALTHBOARD_MESSAGE_BUS__REFRESH_INTERVAL"] = "0.2"
    # The pool has closed its connection, and the service does not open another.
    closed = "transport._driver.cleanup(); sys.stdin.read()"
    rabbit.start(START + RABBIT + "client.cast({}, 'ping'); " + closed)
    eventually(lambda: b":healthboard" in broker.client_properties)
    details(rabbit, "message_bus", state="passing")
    broker.close()
    details(rabbit, "message_bus", error="ConnectionRefusedError 111")
    eventually(lambda: rabbit.health()["details"]["message_bus"]["failures"] >= 2)
    broker.open()
    details(rabbit, "message_bus", state="passing", failures=0)
    assert "CANARY" not in rabbit.end()


def test_attempts_to_reach_a_missing_broker_are_failures(rabbit: Service) -> None:
    rabbit.environment["PORT"] = "1"
    rabbit.start(START + "import logging\n" + RABBIT + "client.cast({}, 'ping')")
    details(rabbit, "message_bus", error="ConnectionRefusedError 111")
    eventually(lambda: rabbit.health()["details"]["message_bus"]["failures"] >= 2)
