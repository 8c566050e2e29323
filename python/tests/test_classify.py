"""The classification itself: by exact class, through wrappers, whatever an exception does."""

from __future__ import annotations

import asyncio
import errno
import importlib
import socket
import ssl
from typing import Any

import classification
import libvirt
import pymysql
import pytest
import redis
import sqlalchemy
from provoke import ANSWERED, UNAVAILABLE, UNKNOWN, error, means
from redis.backoff import NoBackoff
from redis.retry import Retry
from servers import free_port

from healthboard import Indicator, classify
from healthboard.classify import TABLES, classify_connecting, judge, judge_connecting

# Of versions that are not installed, and of a driver that shares PyMySQL's table.
OTHER_VERSIONS = ("MySQLdb._exceptions.", "asyncmy.errors.")


class Hostile(pymysql.err.OperationalError):
    """Each of its attributes raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("str")

    __repr__ = __str__


def test_an_exception_whose_attributes_raise_says_nothing() -> None:
    assert classify.classify(Hostile(1040)).meaning is UNKNOWN
    assert judge_connecting(Hostile(1040)) is None
    wrapped = sqlalchemy.exc.OperationalError("SELECT 1", {}, pymysql.err.OperationalError(1040))
    wrapped.orig = Hostile(1040)
    assert classify.classify(wrapped).meaning is UNKNOWN


def test_an_attribute_that_raises_hides_only_itself() -> None:
    raised = type("OurError", (pymysql.err.OperationalError,), {"errno": property(lambda _: 1 / 0)})
    assert means(raised(1040, "Too many connections")) is UNAVAILABLE


def test_wrappers_that_lead_to_each_other_say_nothing() -> None:
    one, other = (sqlalchemy.exc.DBAPIError("SELECT 1", {}, Exception()) for _ in range(2))
    one.orig, other.orig = other, one
    assert means(one) is UNKNOWN


def test_only_the_class_itself_counts_and_not_its_name() -> None:
    same_name = type("OperationalError", (Exception,), {})
    assert means(same_name(1040, "Too many connections")) is UNKNOWN
    derived = type("OurError", (pymysql.err.OperationalError,), {})
    assert means(derived(1040, "Too many connections")) is UNAVAILABLE


@pytest.mark.parametrize(
    "raised", [KeyError("x"), KeyboardInterrupt(), asyncio.CancelledError(), TimeoutError()]
)
def test_what_is_in_no_table_says_nothing(raised: BaseException) -> None:
    assert means(raised) is UNKNOWN


@pytest.mark.parametrize("number", [7777, 99999, True, 10.5, "1040"])
def test_a_number_that_is_in_no_table_says_nothing(number: object) -> None:
    assert means(pymysql.err.OperationalError(number, "?")) is UNKNOWN


@pytest.mark.usefixtures("own_socket")
def test_an_indicator_takes_the_judges_as_they_are() -> None:
    indicator = Indicator("judged")

    def fail(raised: BaseException) -> None:
        with pytest.raises(type(raised)), indicator.begin(judge):
            raise raised

    for _ in range(2):
        fail(pymysql.err.OperationalError(1040, "Too many connections"))
    fail(pymysql.err.OperationalError(1205, "Lock wait timeout exceeded"))
    assert indicator.failures() == 2
    fail(pymysql.err.IntegrityError(1062, "Duplicate entry"))
    assert indicator.failures() == 0


def test_the_dialect_decides_for_a_driver_that_is_in_no_table() -> None:
    def wrap(kind: type[sqlalchemy.exc.DBAPIError], is_lost: bool) -> BaseException:
        return kind("SELECT 1", {}, Exception("of another driver"), connection_invalidated=is_lost)

    assert means(wrap(sqlalchemy.exc.OperationalError, True)) is UNAVAILABLE
    assert means(wrap(sqlalchemy.exc.OperationalError, False)) is UNKNOWN
    assert means(wrap(sqlalchemy.exc.IntegrityError, False)) is ANSWERED


def test_every_class_in_the_tables_exists() -> None:
    for table in TABLES:
        for name in table.CLASSES:
            if name.startswith(OTHER_VERSIONS):
                continue
            kind = find(name)
            assert f"{kind.__module__}.{kind.__qualname__}" == name
            assert issubclass(kind, BaseException)


def find(name: str) -> Any:
    module, _, path = name.partition(".")
    found = importlib.import_module(module)
    for part in path.split("."):
        module = f"{module}.{part}"
        found = getattr(found, part, None) or importlib.import_module(module)
    return found


def test_no_class_is_in_two_tables() -> None:
    names = [name for table in TABLES for name in table.CLASSES]
    assert len(names) == len(set(names))


def test_the_page_is_up_to_date() -> None:
    command = classification.COMMAND
    assert classification.PAGE.read_text() == classification.page(), f"to regenerate the page, run {command}"


def test_errors_of_the_system() -> None:
    port = free_port()
    assert means(error(socket.create_connection, ("127.0.0.1", port))) is UNAVAILABLE
    assert means(error(socket.create_connection, ("absent.invalid", port))) is UNAVAILABLE
    assert means(error(asyncio.run, asyncio.open_connection("localhost", port))) is UNAVAILABLE
    missing = error(socket.socket(socket.AF_UNIX).connect, "/absent")
    assert means(missing) is UNKNOWN
    assert classify_connecting(missing).meaning is UNAVAILABLE
    assert means(error(open, "/absent")) is UNKNOWN
    assert means(OSError(errno.ENOSPC, "No space left on device")) is UNAVAILABLE
    assert means(OSError(errno.EBADF, "Bad file descriptor")) is UNKNOWN


def test_tls_that_is_not_spoken_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        peer = server.accept()[0]
        peer.sendall(b"220 hello\r\n" * 10)
        context = ssl.create_default_context()
        assert means(error(context.wrap_socket, client, server_hostname="localhost")) is UNAVAILABLE
        peer.close()
        client.close()


# `libvirt`'s own test driver has domains without a hypervisor.


def test_libvirt_errors_of_the_connection_are_failures_and_those_of_a_domain_are_not() -> None:
    libvirt.registerErrorHandler(lambda *_: None, None)
    connection = libvirt.open("test:///default")
    assert means(error(connection.lookupByName, "absent")) is ANSWERED
    domain = connection.lookupByName("test")
    # An internal error, which can be anything of this domain.
    assert means(error(domain.create)) is UNKNOWN
    assert means(error(connection.defineXML, "<")) is ANSWERED
    assert means(error(libvirt.open, "qemu+unix:///system?socket=/absent")) is UNAVAILABLE
    assert means(error(libvirt.open, "qemu+tcp://127.0.0.1:9/system")) is UNAVAILABLE


def test_the_numbers_of_libvirt_are_those_of_the_library() -> None:
    names = {"NO_CONNECT": 5, "INVALID_CONN": 6, "RPC": 39, "AUTH_FAILED": 45, "NO_DOMAIN": 42}
    assert {name: getattr(libvirt, f"VIR_ERR_{name}") for name in names} == names
    assert (libvirt.VIR_FROM_REMOTE, libvirt.VIR_FROM_RPC) == (13, 7)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("ERR unknown command", ANSWERED),
        ("WRONGTYPE Operation against a key", ANSWERED),
        ("LOADING Redis is loading the dataset in memory", UNAVAILABLE),
        ("MISCONF Redis is configured to save RDB snapshots", UNAVAILABLE),
        ("NOAUTH Authentication required.", UNAVAILABLE),
        ("OOM command not allowed when used memory > 'maxmemory'.", UNAVAILABLE),
        ("READONLY You can't write against a read only replica.", UNAVAILABLE),
        ("NOPERM User has no permissions", UNKNOWN),
    ],
)
def test_answers_of_redis(answer: str, expected: object) -> None:
    from redis._parsers.base import BaseParser

    assert means(BaseParser.parse_error(answer)) is expected


def test_redis_that_is_not_there_is_unavailable() -> None:
    client = redis.Redis(port=free_port(), retry=Retry(NoBackoff(), 0))
    assert means(error(client.ping)) is UNAVAILABLE
