"""`message_bus` and its parts, with amqp, kombu and oslo.messaging on a real RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from relay import Relay
from servers import RabbitMq
from test_hooks import START, details

from conftest import Service, eventually

pytest.importorskip("amqp")


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMq]:
    with RabbitMq() as broker:
        yield broker


@pytest.fixture
def relay(broker: RabbitMq) -> Iterator[Relay]:
    relay = Relay(broker.port)
    yield relay
    relay.close()


@pytest.fixture
def bus(service: Service, relay: Relay) -> Service:
    """A service that reaches the broker through the relay."""
    service.environment |= {"PORT": str(relay.port), "HEALTHBOARD_STALL_AFTER": "1"}
    return service


def go_on(service: Service) -> None:
    """Let a service continue that waits in `sys.stdin.readline()`."""
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write("\n")
    service.process.stdin.flush()


def says(service: Service, wanted: str) -> None:
    """Wait until the service has printed this line."""
    assert service.process is not None
    assert service.process.stdout is not None
    assert wanted + "\n" in iter(service.process.stdout.readline, "")


def status(service: Service, wanted: str) -> None:
    eventually(lambda: service.health()["status"] == wanted)


AMQP = """
import amqp
def connect(**options):
    connection = amqp.Connection(f"127.0.0.1:{os.environ['PORT']}", **{"connect_timeout": 2, **options})
    connection.connect()
    return connection
def receive(connection):
    while True:
        try: connection.drain_events(timeout=0.1)
        except TimeoutError: pass
        connection.heartbeat_tick()
def wait():
    print("waits", flush=True)
    sys.stdin.readline()
"""


def test_a_broker_that_closes_its_connections_is_a_failure_at_once(bus: Service, relay: Relay) -> None:
    bus.start(START + AMQP + "connection = connect()\ntry: receive(connection)\nexcept OSError: wait()")
    details(bus, "message_bus", state="passing")
    relay.close()
    details(bus, "message_bus", state="transient", failures=1)


def test_a_broker_that_lets_nobody_in_is_a_failure(bus: Service) -> None:
    bus.start(
        START
        + AMQP
        + """
for _ in range(3):
    try: connect(password="wrong")
    except amqp.AccessRefused: pass
wait()
"""
    )
    details(bus, "message_bus", state="transient", failures=3, error="AccessRefused 403")


def test_a_connection_that_this_process_closes_is_no_failure(bus: Service) -> None:
    bus.start(START + AMQP + "connect().close(); wait()")
    details(bus, "message_bus", state="passing", failures=0)


def test_a_connection_lost_before_a_newer_one_worked_is_no_failure(bus: Service) -> None:
    bus.start(
        START
        + AMQP
        + """
older = connect()
newer = connect()
import socket
older.sock.shutdown(socket.SHUT_RDWR)
try: receive(older)
except OSError: print("gone", flush=True)
sys.stdin.read()
"""
    )
    details(bus, "message_bus", state="passing", failures=0)
    assert bus.end() == "gone\n"


def test_heartbeats_that_do_not_come_are_one_failure_until_they_come(bus: Service, relay: Relay) -> None:
    bus.start(START + AMQP + "import threading\nreceive(connect(heartbeat=4))")
    details(bus, "message_bus", state="passing")
    relay.hold()
    details(bus, "message_bus", state="transient", error="HeartbeatMissed", failures=1)
    relay.release()
    details(bus, "message_bus", state="passing")


def test_heartbeats_that_a_blocked_hub_has_not_read_yet_are_not_missed(bus: Service) -> None:
    pytest.importorskip("eventlet")
    bus.start(
        "import eventlet; eventlet.monkey_patch()\n"
        + START
        + AMQP
        + """
eventlet.spawn(receive, connect(heartbeat=4))
eventlet.sleep(5)
# Nothing is read meanwhile, and the broker does not wait for two of our heartbeats.
eventlet.patcher.original("time").sleep(6)
eventlet.sleep(3)
print("over", flush=True)
while True: eventlet.sleep(1)
"""
    )
    says(bus, "over")
    details(bus, "message_bus", state="passing")
    assert "last_failure" not in bus.health()["details"]["message_bus"]


def test_frames_of_another_connection_do_not_clear_missed_heartbeats(bus: Service, broker: RabbitMq) -> None:
    relay = Relay(broker.port)
    bus.environment["OTHER_PORT"] = str(relay.port)
    bus.start(
        START
        + AMQP
        + """
import threading
lively = connect(heartbeat=2)
threading.Thread(target=receive, args=[lively], daemon=True).start()
def count():
    sys.stdin.readline()
    before = lively.bytes_recv
    while lively.bytes_recv < before + 2: time.sleep(0.01)
    print("two frames", flush=True)
threading.Thread(target=count, daemon=True).start()
os.environ["PORT"] = os.environ["OTHER_PORT"]
silent = connect(heartbeat=20)
# The broker sends one each 10 s.
silent.heartbeat = 2
while True:
    try: silent.drain_events(timeout=0.1)
    except TimeoutError: pass
    # amqp gives up after two intervals.
    silent.last_heartbeat_received = time.monotonic()
    silent.heartbeat_tick()
"""
    )
    details(bus, "message_bus", error="HeartbeatMissed")
    go_on(bus)
    says(bus, "two frames")
    details(bus, "message_bus", state="transient", failures=1)
    relay.close()


CHANNEL = """
channel = connect(confirm_publish=True).channel()
channel.queue_declare("q", auto_delete=False)
def publish(): channel.basic_publish(amqp.Message("x"), "", "q")
publish()
"""


def test_a_confirmed_message_is_evidence_for_publishing(bus: Service) -> None:
    bus.start(START + AMQP + CHANNEL + "wait()")
    details(bus, "message_bus_publish", state="passing", in_flight=0)


def test_a_message_without_a_confirmation_is_a_failure_before_it_stalls(bus: Service, relay: Relay) -> None:
    bus.environment["HEALTHBOARD_STALL_AFTER"] = "8"
    bus.start(START + AMQP + CHANNEL + "wait(); publish(); wait()")
    details(bus, "message_bus_publish", state="passing")
    relay.hold()
    go_on(bus)
    details(bus, "message_bus_publish", state="passing", in_flight=1)
    details(bus, "message_bus_publish", state="transient", error="Unconfirmed", failures=1)
    assert bus.health()["status"] == "DEGRADED"
    details(bus, "message_bus_publish", state="stalled")
    assert bus.health()["status"] == "FAULT"
    relay.release()
    details(bus, "message_bus_publish", state="passing", in_flight=0)
    status(bus, "OK")


def test_a_channel_that_is_closed_raises_what_it_raises_without_hooks(bus: Service) -> None:
    closed = "connection = channel.connection; channel.close()\n"
    tried = """
for call in (publish, channel.close, lambda: channel.queue_delete("q"), lambda: channel.basic_cancel("x")):
    try: print(call())
    except Exception as error: print(type(error).__name__, error)
"""
    hooked = bus.run(START + AMQP + CHANNEL + closed + tried)
    assert hooked == bus.run(AMQP.replace("import amqp", "import amqp, os", 1) + CHANNEL + closed + tried)
    assert "RecoverableConnectionError" in hooked


def test_a_broker_that_takes_no_messages_is_seen_beside_its_heartbeats(
    bus: Service, broker: RabbitMq
) -> None:
    bus.environment["HEALTHBOARD_STALL_AFTER"] = "4"
    alive = "threading.Thread(target=lambda: receive(connect(heartbeat=2)), daemon=True).start()\n"
    bus.start(START + AMQP + CHANNEL + "import threading\n" + alive + "wait(); publish(); wait()")
    details(bus, "message_bus_publish", state="passing")
    broker.control("set_vm_memory_high_watermark", "0.0000001")
    try:
        go_on(bus)
        details(bus, "message_bus_publish", state="transient", error="Blocked", failures=1, in_flight=1)
        assert bus.health()["status"] == "DEGRADED"
        details(bus, "message_bus_publish", state="stalled")
        assert bus.health()["status"] == "FAULT"
        details(bus, "message_bus", state="passing", failures=0)
    finally:
        broker.control("set_vm_memory_high_watermark", "0.4")
    details(bus, "message_bus_publish", state="passing", in_flight=0)


def test_a_request_without_an_answer_is_in_flight_beside_heartbeats(bus: Service, relay: Relay) -> None:
    bus.start(START + AMQP + "connection = connect()\nwait(); connection.channel(); wait()")
    details(bus, "message_bus", state="passing")
    relay.hold()
    go_on(bus)
    details(bus, "message_bus", state="stalled", in_flight=1)
    details(bus, "message_bus", error="NoAnswer")
    relay.release()
    details(bus, "message_bus", state="passing", in_flight=0)


CONSUMER = """
import threading
connection = connect(heartbeat=2)
channel = connection.channel()
def consume(queue):
    channel.queue_declare(queue, auto_delete=False)
    return channel.basic_consume(queue, callback=lambda message: None)
"""


def test_a_consumer_that_the_broker_cancels_is_missing_until_it_is_back(bus: Service) -> None:
    bus.start(
        START
        + AMQP
        + CHANNEL
        + CONSUMER
        + """
consume("c")
consume("d")
threading.Thread(target=lambda: (wait(), connect().channel().queue_delete("c")), daemon=True).start()
try: receive(connection)
except amqp.ConsumerCancelled: pass
publish()
wait()
consume("c")
wait()
"""
    )
    details(bus, "message_bus_consume", state="passing")
    go_on(bus)
    details(bus, "message_bus_consume", state="stalled", error="ConsumerCancelled", failures=1, in_flight=1)
    assert bus.health()["status"] == "FAULT"
    details(bus, "message_bus", state="passing")
    details(bus, "message_bus_publish", state="passing")
    go_on(bus)
    details(bus, "message_bus_consume", state="passing", in_flight=0)
    status(bus, "OK")


def test_a_consumer_is_lost_with_its_channel(bus: Service) -> None:
    bus.start(
        START
        + AMQP
        + CONSUMER
        + """
consume("e")
try:
    # There is nothing to acknowledge, so the broker closes the channel.
    channel.basic_ack(99)
    receive(connection)
except amqp.PreconditionFailed: pass
wait()
consume("e")
wait()
"""
    )
    details(bus, "message_bus_consume", state="stalled", failures=0, in_flight=1)
    go_on(bus)
    details(bus, "message_bus_consume", state="passing", in_flight=0)


def test_a_queue_whose_node_is_down_fails_beside_connections_that_work(bus: Service) -> None:
    # What RabbitMQ says when the only node with a classic queue is down.
    bus.start(
        START
        + AMQP
        + CONSUMER
        + """
consume("i")
working = channel.wait
def refuse(*args, **kwargs):
    text = "home node 'rabbit@b' of durable queue 'i' in vhost '/' is down or inaccessible"
    raise amqp.NotFound(text, (50, 10), reply_code=404)
channel.wait = refuse
try: consume("i")
except amqp.NotFound: wait()
channel.wait = working
consume("i")
receive(connect(heartbeat=2))
"""
    )
    says(bus, "waits")
    details(bus, "message_bus_consume", state="transient", error="NotFound 404")
    details(bus, "message_bus", state="passing", failures=0)
    go_on(bus)
    details(bus, "message_bus_consume", state="passing", failures=0)


def test_a_consumer_that_the_service_cancels_is_not_missing(bus: Service) -> None:
    bus.start(
        START
        + AMQP
        + CONSUMER
        + """
channel.basic_cancel(consume("f"))
connection.collect()
wait()
"""
    )
    details(bus, "message_bus_consume", state="passing", in_flight=0)
    assert bus.end() == "waits\n"


def test_a_consumer_whose_queue_the_service_deletes_is_not_missing(bus: Service) -> None:
    bus.start(
        START
        + AMQP
        + CONSUMER
        + """
consume("h")
try:
    channel.queue_delete("h")
    receive(connection)
except amqp.ConsumerCancelled: wait()
"""
    )
    says(bus, "waits")
    details(bus, "message_bus_consume", state="passing", failures=0, in_flight=0)


KOMBU = """
import kombu
broker = kombu.Connection(f"amqp://guest:guest@127.0.0.1:{os.environ['PORT']}//", **{"connect_timeout": 2})
def wait():
    print("waits", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def kombu(bus: Service) -> Service:
    pytest.importorskip("kombu")
    return bus


def test_a_consumer_is_lost_with_its_connection_until_it_is_back_or_given_up(
    kombu: Service, relay: Relay
) -> None:
    kombu.start(
        START
        + KOMBU
        + """
def consume():
    broker.Consumer(kombu.Queue("g")).consume()
def lose():
    try:
        while True: broker.drain_events()
    except OSError: broker.collect()
    print("lost", flush=True)
for end in (consume, broker.release):
    consume()
    lose()
    sys.stdin.readline()
    end()
wait()
"""
    )
    for _ in range(2):
        details(kombu, "message_bus_consume", state="passing")
        relay.drop()
        details(kombu, "message_bus_consume", state="stalled", in_flight=1)
        go_on(kombu)
        details(kombu, "message_bus_consume", state="passing", in_flight=0)


def test_a_service_without_a_connection_asks_the_broker_itself(
    kombu: Service, broker: RabbitMq, relay: Relay
) -> None:
    kombu.environment["HEALTHBOARD_MESSAGE_BUS__REFRESH_INTERVAL"] = "0.2"
    kombu.start(START + KOMBU + "broker.SimpleQueue('s').put('x'); broker.release(); wait()")
    eventually(lambda: relay.accepted == 2)
    assert ":healthboard" in broker.control("list_connections", "client_properties")
    details(kombu, "message_bus", state="passing")
    relay.close()
    details(kombu, "message_bus", error="ConnectionRefusedError 111")
    eventually(lambda: kombu.health()["details"]["message_bus"]["failures"] >= 2)
    relay.open()
    details(kombu, "message_bus", state="passing", failures=0)
    assert relay.accepted == 3
    # Changes of the status are logged, and nothing else.
    lines = kombu.end().splitlines()
    assert all(line.startswith(("waits", "DEGRADED: ", "OK")) for line in lines), lines


def test_an_idle_producer_notices_that_the_broker_has_closed_its_connection(
    kombu: Service, relay: Relay
) -> None:
    kombu.environment["HEALTHBOARD_MESSAGE_BUS__REFRESH_INTERVAL"] = "0.2"
    kombu.start(START + KOMBU + "broker.SimpleQueue('s').put('x'); wait()")
    says(kombu, "waits")
    details(kombu, "message_bus", state="passing", failures=0)
    relay.close()
    details(kombu, "message_bus", error="ConnectionRefusedError 111")
    relay.open()
    details(kombu, "message_bus", state="passing", failures=0)


def test_a_failed_publish_is_over_when_the_broker_confirms_one_of_our_own(
    kombu: Service, relay: Relay
) -> None:
    kombu.start(
        START
        + KOMBU.replace('"connect_timeout": 2', '"transport_options": {"confirm_publish": True}')
        + """
channel = broker.default_channel
def publish(): channel.basic_publish(channel.prepare_message(b"x", properties={}), "", "t")
publish()
wait()
broker.connection.sock.settimeout(0.1)
try: publish()
except TimeoutError: wait()
"""
    )
    details(kombu, "message_bus_publish", state="passing")
    relay.hold()
    go_on(kombu)
    details(kombu, "message_bus_publish", state="transient", error="TimeoutError", in_flight=0)
    relay.release()
    details(kombu, "message_bus_publish", state="passing", failures=0)


def test_nothing_is_asked_while_a_connection_of_the_service_lives(kombu: Service, relay: Relay) -> None:
    kombu.environment["HEALTHBOARD_REFRESH_INTERVAL"] = "0.1"
    kombu.environment["HEALTHBOARD_MESSAGE_BUS__REFRESH_INTERVAL"] = "0.1"
    other = "healthboard.refresh('other', lambda: print('asked', flush=True))\n"
    kombu.start(START + KOMBU + "broker.connect()\n" + other + "wait()")
    assert kombu.process is not None
    assert kombu.process.stdout is not None
    for _ in range(3):
        # What is due is asked in turns.
        assert kombu.process.stdout.readline()
    assert relay.accepted == 1
    details(kombu, "message_bus", state="passing", ttl=0)


OSLO = """
from oslo_config import cfg
import oslo_messaging
conf = cfg.CONF
conf([], default_config_files=[], default_config_dirs=[])
url = f"rabbit://guest:guest@127.0.0.1:{os.environ['PORT']}/"
def rpc():
    transport = oslo_messaging.get_rpc_transport(conf, url)
    return oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic="t"), timeout=5)
def notifier():
    transport = oslo_messaging.get_notification_transport(conf, url)
    return oslo_messaging.Notifier(transport, "p", driver="messagingv2", topics=["n"], retry=0)
class Endpoint:
    def ping(self, context): return "pong"
def serve():
    transport = oslo_messaging.get_rpc_transport(conf, url)
    target = oslo_messaging.Target(topic="t", server="s")
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="threading")
    server.start()
    return server
"""


@pytest.fixture
def oslo(bus: Service) -> Service:
    pytest.importorskip("oslo_messaging")
    return bus


def test_attempts_of_rpc_to_reach_a_missing_broker_are_failures(oslo: Service) -> None:
    oslo.environment["PORT"] = "1"
    oslo.start(START + "import logging\n" + OSLO + "rpc().cast({}, 'ping')")
    details(oslo, "message_bus", error="ConnectionRefusedError 111", impact="critical")
    eventually(lambda: oslo.health()["details"]["message_bus"]["failures"] >= 2)


def test_a_service_that_only_notifies_is_degraded_at_worst(oslo: Service, relay: Relay) -> None:
    oslo.environment["HEALTHBOARD_FAILURE_WINDOW"] = "0"
    oslo.start(
        START
        + "import logging\n"
        + OSLO
        + """
sender = notifier()
while True:
    sender.info({}, "event", {})
    time.sleep(0.1)
"""
    )
    details(oslo, "notification_bus", state="passing", impact="degrading")
    details(oslo, "notification_bus_publish", state="passing", impact="degrading")
    assert not any(name.startswith("message_bus") for name in oslo.health()["details"])
    relay.close()
    details(oslo, "notification_bus", state="failing")
    assert oslo.health()["status"] == "DEGRADED"
    relay.open()
    status(oslo, "OK")


def test_rpc_is_told_apart_from_notifications_over_one_url(oslo: Service) -> None:
    oslo.start(
        START
        + OSLO
        + """
server = serve()
assert rpc().call({}, "ping") == "pong"
notifier().info({}, "event", {})
sys.stdin.readline()
server.stop(); server.wait()
print("stopped", flush=True)
sys.stdin.readline()
"""
    )
    for name in ("message_bus", "message_bus_publish", "message_bus_consume"):
        details(oslo, name, state="passing", impact="critical", in_flight=0)
    for name in ("notification_bus", "notification_bus_publish"):
        details(oslo, name, state="passing", impact="degrading", in_flight=0)
    go_on(oslo)
    says(oslo, "stopped")
    # What the service has ended in good order is not missing.
    details(oslo, "message_bus_consume", state="passing", in_flight=0)


def test_an_rpc_server_whose_queues_are_deleted_has_them_again(oslo: Service, broker: RabbitMq) -> None:
    oslo.environment["BROKER"] = str(broker.port)
    oslo.start(
        START
        + OSLO
        + """
server = serve()
assert rpc().call({}, "ping") == "pong"
sys.stdin.readline()
import kombu
with kombu.Connection(f"amqp://guest:guest@127.0.0.1:{os.environ['BROKER']}//") as admin:
    admin.default_channel.queue_delete("t")
sys.stdin.readline()
assert rpc().call({}, "ping") == "pong"
print("served", flush=True)
"""
    )
    details(oslo, "message_bus_publish", state="passing")
    go_on(oslo)
    details(oslo, "message_bus_consume", error="ConsumerCancelled")
    details(oslo, "message_bus_consume", state="passing", in_flight=0)
    go_on(oslo)
    says(oslo, "served")
