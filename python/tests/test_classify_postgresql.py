"""What the errors of PostgreSQL mean, as its drivers raise them. All are provoked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from typing import Any

import asyncpg
import psycopg
import psycopg2
import psycopg_pool
import pytest
import sqlalchemy
from oslo_db.sqlalchemy import engines
from provoke import ANSWERED, UNAVAILABLE, UNKNOWN, error, fill, means, small_disk
from servers import PASSWORD, PostgreSql

from conftest import eventually
from healthboard.classify import Meaning, classify, classify_connecting

SCHEMA = """
CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(3) NOT NULL);
INSERT INTO t VALUES (1, 'a'), (2, 'b');
CREATE TABLE secret (id INT);
ALTER TABLE t OWNER TO app;
GRANT CREATE ON SCHEMA public TO app
"""

NAMES = ["psycopg2", "psycopg", "asyncpg"]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSql]:
    with PostgreSql() as server:
        server.sql(SCHEMA, database="app")
        yield server


@pytest.fixture(params=NAMES)
def driver(request: pytest.FixtureRequest, server: PostgreSql) -> Iterator[Driver]:
    driver = Driver(server, request.param)
    yield driver
    driver.close()


class Driver:
    """A driver, and its connections to the server, each in autocommit."""

    def __init__(self, server: PostgreSql, name: str) -> None:
        self.server = server
        self.name = name
        self.loop = asyncio.new_event_loop()
        self.connections: list[Any] = []

    def connect(self, **changed: Any) -> Any:
        named = self.server.arguments(**changed)
        if self.name == "asyncpg":
            named["database"] = named.pop("dbname")
            connection = self.loop.run_until_complete(asyncpg.connect(**named))
        else:
            connection = (psycopg if self.name == "psycopg" else psycopg2).connect(**named)
            connection.autocommit = True
        self.connections.append(connection)
        return connection

    def run(self, connection: Any, *statements: str) -> None:
        for statement in statements:
            if self.name == "asyncpg":
                self.loop.run_until_complete(connection.execute(statement))
            else:
                connection.cursor().execute(statement)

    def close(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(Exception):
                if self.name == "asyncpg":
                    connection.terminate()
                else:
                    connection.close()
        self.loop.close()


def state(raised: BaseException) -> str | None:
    return getattr(raised, "pgcode", None) or getattr(raised, "sqlstate", None)


@pytest.mark.parametrize(
    ("expected", "statement"),
    [
        ("22001", "INSERT INTO t VALUES (3, 'abcd')"),
        ("22012", "SELECT 1 / 0"),
        ("23502", "INSERT INTO t VALUES (3, NULL)"),
        ("23505", "INSERT INTO t VALUES (1, 'a')"),
        ("25001", "BEGIN; VACUUM"),
        ("42601", "SELEKT 1"),
        ("42703", "SELECT absent FROM t"),
        ("42883", "SELECT absent()"),
        ("P0001", "DO $$ BEGIN RAISE EXCEPTION 'no'; END $$"),
    ],
)
def test_a_wrong_statement_is_answered(driver: Driver, expected: str, statement: str) -> None:
    connection = driver.connect()
    *before, last = statement.split("; ") if statement.startswith("BEGIN") else [statement]
    raised = error(driver.run, connection, *before, last)
    assert state(raised) == expected
    assert means(raised) is ANSWERED


@pytest.mark.parametrize(
    ("expected", "statements"),
    [
        ("25P02", ["BEGIN", "SELECT 1 / 0", "SELECT 1"]),
        ("42501", ["SELECT * FROM secret"]),
        ("42P01", ["SELECT * FROM absent"]),
        ("57014", ["SET statement_timeout = 50", "SELECT pg_sleep(10)"]),
    ],
)
def test_what_has_several_causes_says_nothing(driver: Driver, expected: str, statements: list[str]) -> None:
    connection = driver.connect()
    for statement in statements[:-1]:
        with contextlib.suppress(Exception):
            driver.run(connection, statement)
    raised = error(driver.run, connection, statements[-1])
    assert state(raised) == expected
    assert means(raised) is UNKNOWN


def test_a_lock_that_is_not_free_in_time_says_nothing(driver: Driver) -> None:
    holder, waiter = driver.connect(), driver.connect()
    driver.run(holder, "BEGIN", "LOCK TABLE t")
    raised = error(driver.run, waiter, "SET lock_timeout = 50", "SELECT * FROM t")
    assert state(raised) == "55P03"
    assert means(raised) is UNKNOWN


def test_a_deadlock_is_answered(driver: Driver) -> None:
    other = Driver(driver.server, driver.name)
    mine, theirs = driver.connect(), other.connect()
    raised: list[BaseException] = []
    driver.run(mine, "BEGIN", "UPDATE t SET name = 'x' WHERE id = 1")
    other.run(theirs, "BEGIN", "UPDATE t SET name = 'y' WHERE id = 2")

    def cross(who: Driver, connection: Any, row: int) -> None:
        try:
            who.run(connection, f"UPDATE t SET name = 'z' WHERE id = {row}")
        except Exception as problem:
            raised.append(problem)
        who.run(connection, "ROLLBACK")

    thread = threading.Thread(target=cross, args=(driver, mine, 2))
    thread.start()
    cross(other, theirs, 1)
    thread.join()
    other.close()
    assert [state(each) for each in raised] == ["40P01"]
    assert means(raised[0]) is ANSWERED


@pytest.mark.parametrize("where", ["database", "standby"])
def test_a_server_that_takes_no_writes_is_unavailable(server: PostgreSql, where: str) -> None:
    begin_read_only(server, where)
    try:
        for name in NAMES:
            driver = Driver(server, name)
            raised = error(driver.run, driver.connect(), "INSERT INTO t VALUES (3, 'a')")
            driver.close()
            assert state(raised) == "25006"
            assert means(raised) is UNAVAILABLE
    finally:
        end_read_only(server, where)


def begin_read_only(server: PostgreSql, where: str) -> None:
    if where == "database":
        server.sql("ALTER DATABASE app SET default_transaction_read_only = on")
        return
    server.stop(signal.SIGINT)
    (server.data / "standby.signal").touch()
    server.start()


def end_read_only(server: PostgreSql, where: str) -> None:
    if where == "database":
        server.sql("ALTER DATABASE app RESET default_transaction_read_only")
        return
    server.sql("SELECT pg_promote()")
    eventually(lambda: "f" in server.sql("SELECT pg_is_in_recovery()").split())


def test_a_write_in_a_transaction_that_began_as_read_only_is_answered(driver: Driver) -> None:
    raised = error(driver.run, driver.connect(), "BEGIN READ ONLY", "INSERT INTO t VALUES (3, 'a')")
    assert state(raised) == "25006"
    # The others do not tell whether the server or the transaction is read only.
    assert means(raised) is (ANSWERED if driver.name == "psycopg2" else UNAVAILABLE)


@pytest.mark.parametrize(
    "changed", [{"password": "wrong"}, {"dbname": "absent"}, {"user": "absent"}], ids=lambda each: str(*each)
)
def test_a_server_that_does_not_let_us_in_is_unavailable(driver: Driver, changed: dict[str, Any]) -> None:
    assert means(error(driver.connect, **changed)) is UNAVAILABLE


def test_a_server_without_a_free_connection_is_unavailable(driver: Driver) -> None:
    raised = error(lambda: [driver.connect() for _ in range(20)])
    assert means(raised) is UNAVAILABLE
    driver.close()
    driver.loop = asyncio.new_event_loop()
    left = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
    eventually(lambda: int(driver.server.sql(left)) == 0)


@pytest.mark.parametrize(
    ("function", "expected"), [("pg_cancel_backend", UNKNOWN), ("pg_terminate_backend", UNAVAILABLE)]
)
def test_what_an_administrator_ends(driver: Driver, function: str, expected: Meaning) -> None:
    find = f"SELECT {function}(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    thread = threading.Thread(target=lambda: eventually(lambda: driver.server.sql(find).strip()))
    thread.start()
    raised = error(driver.run, driver.connect(), "SELECT pg_sleep(10)")
    thread.join()
    assert means(raised) is expected


def test_an_exception_of_the_driver_itself_says_nothing(driver: Driver) -> None:
    connection = driver.connect()
    if driver.name == "asyncpg":
        driver.loop.run_until_complete(connection.close())
    else:
        connection.close()
    assert means(error(driver.run, connection, "SELECT 1")) is UNKNOWN


def test_a_pool_without_a_free_place_is_unavailable_and_only_work_can_clear_it(server: PostgreSql) -> None:
    text = " ".join(f"{name}={value}" for name, value in server.arguments().items())
    with psycopg_pool.ConnectionPool(text, min_size=1, max_size=1, timeout=0.2, open=True) as pool:
        pool.wait()
        with pool.connection():
            raised = error(pool.getconn)
    assert means(raised) is UNAVAILABLE
    assert classify(raised).by_work


def test_a_full_disk_is_unavailable_and_only_work_can_clear_it(driver: Driver) -> None:
    server = driver.server
    with small_disk(server.folder / "disk", "4m") as disk:
        space = disk / "space"
        space.mkdir()
        if os.geteuid() == 0:
            shutil.chown(space, server.user)
        server.sql(f"CREATE TABLESPACE full_{driver.name} LOCATION '{space}'")
        server.sql(f"GRANT CREATE ON TABLESPACE full_{driver.name} TO app")
        connection = driver.connect()
        driver.run(connection, f"CREATE TABLE big (text TEXT) TABLESPACE full_{driver.name}")
        fill(disk)
        rows = "SELECT repeat(md5(i::text), 10) FROM generate_series(1, 20000) i"
        raised = error(driver.run, connection, f"INSERT INTO big {rows}")
        driver.run(connection, "DROP TABLE big")
        server.sql(f"DROP TABLESPACE full_{driver.name}")
    (server.folder / "disk").rmdir()
    assert state(raised) == "53100"
    assert means(raised) is UNAVAILABLE
    assert classify(raised).by_work


@pytest.mark.parametrize("make", [sqlalchemy.create_engine, engines.create_engine])
@pytest.mark.parametrize("dialect", ["psycopg2", "psycopg"])
def test_wrappers_do_not_change_the_meaning(server: PostgreSql, make: Any, dialect: str) -> None:
    engine = make(f"postgresql+{dialect}://app:{PASSWORD}@127.0.0.1:{server.port}/app")
    with engine.connect() as connection:

        def execute(statement: str) -> None:
            connection.execute(sqlalchemy.text(statement))

        assert means(error(execute, "SELECT * FROM absent")) is UNKNOWN
        assert means(error(execute, "SELECT 1")) is UNKNOWN
        connection.rollback()
        assert means(error(execute, "INSERT INTO t VALUES (1, 'a')")) is ANSWERED
        connection.rollback()
        server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'")
        assert means(error(execute, "SELECT 1")) is UNAVAILABLE
    engine.dispose()


def test_the_asynchronous_wrapper_does_not_change_the_meaning(server: PostgreSql) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    async def execute(*statements: str) -> None:
        engine = create_async_engine(f"postgresql+asyncpg://app:{PASSWORD}@127.0.0.1:{server.port}/app")
        try:
            async with engine.connect() as connection:
                for statement in statements:
                    await connection.execute(sqlalchemy.text(statement))
        finally:
            await engine.dispose()

    assert means(error(asyncio.run, execute("INSERT INTO t VALUES (1, 'a')"))) is ANSWERED
    assert means(error(asyncio.run, execute("SELECT * FROM absent"))) is UNKNOWN
    ends_itself = "SELECT pg_terminate_backend(pg_backend_pid())"
    assert means(error(asyncio.run, execute(ends_itself, "SELECT 1"))) is UNAVAILABLE


# These end the server. They come last.


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
def test_a_server_that_ends_is_unavailable(server: PostgreSql, how: signal.Signals) -> None:
    drivers = [Driver(server, name) for name in NAMES]
    connections = [driver.connect() for driver in drivers]
    server.kill() if how is signal.SIGKILL else server.stop(how)
    for driver, connection in zip(drivers, connections, strict=True):
        # Of asyncpg, the second statement: it knows that the connection is closed, and nothing else.
        assert means(error(driver.run, connection, "SELECT 1")) is UNAVAILABLE or driver.name == "asyncpg"
        assert means(error(driver.connect)) is UNAVAILABLE
        driver.close()
    server.start()


def test_a_server_that_still_starts_is_unavailable(server: PostgreSql) -> None:
    server.stop(signal.SIGINT)
    (server.data / "standby.signal").touch()
    server.process = server._spawn([*server.command(), "-c", "hot_standby=off"])
    for name in NAMES:
        driver = Driver(server, name)
        refused = eventually(lambda driver=driver: not_yet(driver))
        driver.close()
        assert means(refused) is UNAVAILABLE
    server.kill()
    (server.data / "standby.signal").unlink()
    server.start()


def not_yet(driver: Driver) -> BaseException | None:
    raised = error(driver.connect)
    # Before that, nobody listens.
    return raised if "not accepting connections" in str(raised) or state(raised) == "57P03" else None


def test_a_frozen_server_is_unavailable_when_the_timeout_ends(server: PostgreSql) -> None:
    server.freeze()
    try:
        for name in NAMES:
            driver = Driver(server, name)
            raised = error(driver.connect, **{"timeout" if name == "asyncpg" else "connect_timeout": 1})
            driver.close()
            # asyncpg raises a bare `TimeoutError`, which can be anybody's.
            assert means(raised) is (UNKNOWN if name == "asyncpg" else UNAVAILABLE)
            assert classify_connecting(raised).meaning is UNAVAILABLE
    finally:
        server.thaw()
