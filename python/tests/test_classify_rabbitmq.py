"""What the errors of RabbitMQ mean, as amqp, kombu and oslo.messaging raise them. All are provoked."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import amqp
import kombu
import oslo_messaging
import pytest
from oslo_config import cfg
from oslo_messaging._drivers import common
from provoke import ANSWERED, UNAVAILABLE, UNKNOWN, error, means
from servers import RabbitMq

from conftest import eventually
from healthboard.classify import classify, classify_connecting


@pytest.fixture(scope="module")
def broker() -> Iterator[RabbitMq]:
    with RabbitMq() as broker:
        yield broker


def connect(broker: RabbitMq, **changed: object) -> amqp.Connection:
    connection = amqp.Connection(**{"host": f"127.0.0.1:{broker.port}", "confirm_publish": True, **changed})
    connection.connect()
    return connection


def url(broker: RabbitMq) -> str:
    return f"amqp://guest:guest@127.0.0.1:{broker.port}//"


@pytest.mark.parametrize("changed", [{"password": "wrong"}, {"userid": "absent"}, {"virtual_host": "absent"}])
def test_a_broker_that_does_not_let_us_in_is_unavailable(broker: RabbitMq, changed: dict[str, str]) -> None:
    assert means(error(connect, broker, **changed)) is UNAVAILABLE


def test_a_request_that_the_broker_refuses_is_answered(broker: RabbitMq) -> None:
    with connect(broker) as connection, connect(broker) as other:
        connection.channel().queue_declare("exists", durable=False)
        connection.channel().queue_declare("mine", exclusive=True)
        message = amqp.Message("text")
        for expected, work in (
            (404, lambda: connection.channel().basic_publish(message, exchange="absent", routing_key="x")),
            (404, lambda: connection.channel().queue_declare("absent", passive=True)),
            (405, lambda: other.channel().queue_declare("mine")),
            (406, lambda: connection.channel().queue_declare("exists", durable=True)),
        ):
            raised = error(work)
            assert raised.reply_code == expected  # type: ignore[attr-defined]
            assert means(raised) is ANSWERED


def test_a_mistake_that_ends_the_connection_is_answered(broker: RabbitMq) -> None:
    channel = connect(broker).channel()
    channel.queue_declare("twice")
    channel.basic_consume("twice", consumer_tag="tag")
    raised = error(channel.basic_consume, "twice", consumer_tag="tag")
    assert raised.reply_code == 530  # type: ignore[attr-defined]
    assert means(raised) is ANSWERED


def test_a_missing_permission_says_nothing(broker: RabbitMq) -> None:
    with connect(broker) as connection:
        raised = error(connection.channel().exchange_declare, "amq.mine", "direct")
    assert raised.reply_code == 403  # type: ignore[attr-defined]
    assert means(raised) is UNKNOWN


def test_a_message_that_the_broker_does_not_take_is_a_failure_and_only_work_can_clear_it(
    broker: RabbitMq,
) -> None:
    with connect(broker) as connection:
        channel = connection.channel()
        channel.queue_declare("full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})

        def publish() -> None:
            for _ in range(3):
                channel.basic_publish(amqp.Message("text"), routing_key="full")

        raised = error(publish)
    assert isinstance(raised, amqp.exceptions.MessageNacked)
    assert means(raised) is UNAVAILABLE
    assert classify(raised).by_work


def test_a_consumer_whose_queue_is_deleted_says_nothing(broker: RabbitMq) -> None:
    with connect(broker) as connection, connect(broker) as other:
        channel = connection.channel()
        channel.queue_declare("deleted")
        channel.basic_consume("deleted")
        other.channel().queue_delete("deleted")
        raised = error(lambda: [connection.drain_events(timeout=5) for _ in range(5)])
    assert isinstance(raised, amqp.exceptions.ConsumerCancelled)
    assert means(raised) is UNKNOWN


def test_a_timeout_without_a_message_says_nothing(broker: RabbitMq) -> None:
    with connect(broker) as connection:
        raised = error(connection.drain_events, timeout=0.1)
    assert isinstance(raised, socket.timeout)
    assert means(raised) is UNKNOWN


def test_a_connection_that_this_process_closed_says_nothing(broker: RabbitMq) -> None:
    connection = connect(broker)
    channel = connection.channel()
    connection.close()
    assert means(error(channel.queue_declare, "any")) is UNKNOWN


def test_a_pool_without_a_free_place_is_unavailable_and_only_work_can_clear_it(broker: RabbitMq) -> None:
    pool = kombu.Connection(url(broker)).Pool(limit=1)
    with pool.acquire():
        raised = error(pool.acquire)
    pool.force_close_all()
    assert means(raised) is UNAVAILABLE
    assert classify(raised).by_work


def test_oslo_messaging_tells_the_bus_from_the_other_end(broker: RabbitMq) -> None:
    client = client_of(broker, "nobody")
    # Nobody serves it. The server that should answer may hang as well.
    raised = error(client.prepare(timeout=1).call, {}, "method")
    assert isinstance(raised, oslo_messaging.MessagingTimeout)
    assert means(raised) is UNKNOWN


def client_of(broker: RabbitMq, topic: str, **named: int) -> oslo_messaging.RPCClient:
    cfg.CONF([], default_config_files=[], default_config_dirs=[])
    transport = oslo_messaging.get_rpc_transport(cfg.CONF, url(broker).replace("amqp:", "rabbit:"))
    return oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic=topic), **named)


def test_an_exception_of_the_other_end_is_answered() -> None:
    try:
        connect_to_nothing()
    except kombu.exceptions.OperationalError:
        sent = common.serialize_remote_exception(sys.exc_info())
    rebuilt = common.deserialize_remote_exception(sent, ["kombu.exceptions"])
    assert isinstance(rebuilt, kombu.exceptions.OperationalError)
    assert means(rebuilt) is ANSWERED
    assert means(common.deserialize_remote_exception(sent, [])) is ANSWERED


def connect_to_nothing() -> None:
    kombu.Connection("amqp://127.0.0.1:9//").ensure_connection(max_retries=1, interval_start=0)


def test_a_broker_that_is_not_there_is_unavailable() -> None:
    raised = error(connect_to_nothing)
    assert isinstance(raised, kombu.exceptions.OperationalError)
    assert means(raised) is UNAVAILABLE


def test_a_connection_that_an_administrator_closes_is_unavailable_for_that_moment(broker: RabbitMq) -> None:
    connection = connect(broker)
    broker.control("close_all_connections", "test")
    raised = error(connection.drain_events, timeout=5)
    assert raised.reply_code == 320  # type: ignore[attr-defined]
    assert means(raised) is UNAVAILABLE


def test_a_publish_under_an_alarm_does_not_end_and_its_timeout_says_nothing(broker: RabbitMq) -> None:
    blocked: list[str] = []
    connection = connect(broker, on_blocked=blocked.append)
    channel = connection.channel()
    broker.control("set_vm_memory_high_watermark", "0.000001")

    def publish() -> BaseException | None:
        try:
            channel.basic_publish(amqp.Message("text"), routing_key="any", confirm_timeout=0.5)
        except OSError as raised:
            return raised
        return None

    raised = eventually(publish)
    assert blocked
    # `connection.blocked` is the evidence, not the timeout, which can be anybody's.
    assert means(raised) is UNKNOWN
    broker.control("set_vm_memory_high_watermark", "0.6")


# These end the broker. They come last.


def test_missed_heartbeats_are_a_failure(broker: RabbitMq) -> None:
    connection = connect(broker, heartbeat=1)
    broker.freeze()
    try:

        def tick() -> BaseException | None:
            try:
                connection.heartbeat_tick()
            except Exception as raised:
                return raised
            return None

        raised = eventually(tick)
        waiting = error(connect, broker, connect_timeout=0.5)
    finally:
        broker.thaw()
    assert means(raised) is UNAVAILABLE
    assert classify_connecting(waiting).meaning is UNAVAILABLE


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_broker_that_ends_is_unavailable(broker: RabbitMq, how: str) -> None:
    connection = connect(broker)
    client = client_of(broker, "nobody", retry=0)
    client.cast({}, "method")
    # A start takes long: the first time, only the broker ends, and not its virtual machine.
    broker.control("stop_app") if how == "stopped" else broker.kill()
    assert means(error(lambda: [connection.drain_events(timeout=5) for _ in range(5)])) is UNAVAILABLE
    assert means(error(connect, broker)) is UNAVAILABLE
    undelivered = error(client.cast, {}, "method")
    assert isinstance(undelivered, oslo_messaging.MessageDeliveryFailure)
    assert means(undelivered) is UNAVAILABLE
    if how == "stopped":
        broker.control("start_app")
        broker.until_it_answers()
