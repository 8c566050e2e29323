"""What the errors of MariaDB mean, as its drivers raise them. All are provoked."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomysql
import mysql.connector
import MySQLdb
import pymysql
import pytest
import sqlalchemy
from oslo_db.sqlalchemy import engines
from provoke import ANSWERED, UNAVAILABLE, UNKNOWN, error, fill, means, small_disk
from servers import PASSWORD, MariaDb

from conftest import eventually
from healthboard.classify import classify

DRIVERS = {"PyMySQL": pymysql.connect, "mysqlclient": MySQLdb.connect, "Connector": mysql.connector.connect}

SCHEMA = """
USE app;
CREATE TABLE t (id INT PRIMARY KEY, name VARCHAR(3) NOT NULL, CHECK (id < 1000));
CREATE TABLE child (id INT, FOREIGN KEY (id) REFERENCES t (id));
INSERT INTO t VALUES (1, 'a'), (2, 'b');
CREATE TABLE crashed (id INT) ENGINE=MyISAM CHECKSUM=1;
INSERT INTO crashed VALUES (1);
FLUSH TABLES crashed
"""

# It needs a table on the disk.
LARGE_RESULT = (
    "SELECT DISTINCT a.column_type, b.column_name, c.table_name FROM information_schema.columns a, "
    "information_schema.columns b, information_schema.columns c"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    folder = tmp_path_factory.mktemp("mariadb") / "disk"
    with small_disk(folder, "16m") as disk, MariaDb(f"--tmpdir={disk}") as server:
        server.sql(SCHEMA)
        yield server


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest, server: MariaDb) -> Iterator[Driver]:
    driver = Driver(server, request.param)
    yield driver
    driver.close()


class Driver:
    """A driver, and its connections to the server."""

    def __init__(self, server: MariaDb, name: str) -> None:
        self.server = server
        self.name = name
        self.disk = Path(server.options[0].partition("=")[2])
        self.connections: list[Any] = []

    def connect(self, **changed: Any) -> Any:
        connection = DRIVERS[self.name](**self.server.arguments(**changed))
        self.connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in self.connections:
            with contextlib.suppress(Exception):
                connection.close()


def run(connection: Any, *statements: str) -> None:
    for statement in statements:
        cursor = connection.cursor()
        cursor.execute(statement)
        if cursor.description:
            cursor.fetchall()
        cursor.close()


def number(raised: BaseException) -> int:
    return int(raised.args[0])


@pytest.mark.parametrize(
    ("expected", "statement"),
    [
        (1007, "CREATE DATABASE app"),
        (1048, "INSERT INTO t VALUES (3, NULL)"),
        (1054, "SELECT absent FROM t"),
        (1060, "ALTER TABLE t ADD COLUMN name INT"),
        (1062, "INSERT INTO t VALUES (1, 'a')"),
        (1064, "SELEKT 1"),
        (1091, "ALTER TABLE t DROP COLUMN absent"),
        (1136, "INSERT INTO t VALUES (3)"),
        (1235, "SELECT * FROM t WHERE id IN (SELECT id FROM t LIMIT 1)"),
        (1242, "SELECT (SELECT id FROM t)"),
        (1292, "UPDATE t SET name = CAST('2020-99-99' AS DATE)"),
        (1305, "CALL absent()"),
        (1364, "INSERT INTO t (id) VALUES (3)"),
        (1366, "INSERT INTO t VALUES ('x', 'a')"),
        (1406, "INSERT INTO t VALUES (3, 'abcd')"),
        (1452, "INSERT INTO child VALUES (3)"),
        (1644, "SIGNAL SQLSTATE '45000'"),
        (1690, "SELECT 18446744073709551615 + 1"),
        (4025, "INSERT INTO t VALUES (1000, 'a')"),
    ],
)
def test_a_wrong_statement_is_answered(driver: Driver, expected: int, statement: str) -> None:
    raised = error(run, driver.connect(), statement)
    assert number(raised) == expected
    assert means(raised) is ANSWERED


@pytest.mark.parametrize(
    ("expected", "statements"),
    [
        (1142, ["SELECT * FROM mysql.global_priv"]),
        (1146, ["SELECT * FROM absent"]),
        (1227, ["SET GLOBAL max_connections = 10"]),
        (1792, ["START TRANSACTION READ ONLY", "INSERT INTO t VALUES (3, 'a')"]),
        (1969, ["SET max_statement_time = 0.05", "SELECT SLEEP(5) FROM t"]),
    ],
)
def test_what_has_several_causes_says_nothing(driver: Driver, expected: int, statements: list[str]) -> None:
    raised = error(run, driver.connect(), *statements)
    assert number(raised) == expected
    assert means(raised) is UNKNOWN


@pytest.mark.parametrize("name", ["PyMySQL", "Connector"])
def test_a_statement_that_is_too_large_is_answered(server: MariaDb, name: str) -> None:
    driver = Driver(server, name)
    server.sql("SET GLOBAL max_allowed_packet = 16384")
    connection = driver.connect()
    server.sql("SET GLOBAL max_allowed_packet = DEFAULT")
    raised = error(run, connection, f"SELECT '{'x' * 70_000}'")
    driver.close()
    # mysqlclient notices only that the server has closed the connection.
    assert number(raised) == 1153
    assert means(raised) is ANSWERED


def test_a_record_that_has_changed_is_answered(driver: Driver) -> None:
    one, other = driver.connect(), driver.connect()
    run(one, "SET innodb_snapshot_isolation = ON", "START TRANSACTION", "SELECT * FROM t")
    run(other, f"UPDATE t SET name = '{driver.name[:3]}' WHERE id = 1", "COMMIT")
    raised = error(run, one, "UPDATE t SET name = 'd' WHERE id = 1")
    assert number(raised) == 1020
    assert means(raised) is ANSWERED


def test_a_deadlock_is_answered(driver: Driver) -> None:
    one, other = driver.connect(), driver.connect()
    run(one, "START TRANSACTION", "UPDATE t SET name = 'x' WHERE id = 1")
    run(other, "START TRANSACTION", "UPDATE t SET name = 'y' WHERE id = 2")
    raised: list[BaseException] = []

    def cross(connection: Any, row: int) -> None:
        try:
            run(connection, f"UPDATE t SET name = 'z' WHERE id = {row}")
        except Exception as problem:
            raised.append(problem)
            connection.rollback()

    thread = threading.Thread(target=cross, args=(one, 2))
    thread.start()
    cross(other, 1)
    thread.join()
    assert [number(each) for each in raised] == [1213]
    assert means(raised[0]) is ANSWERED


@pytest.mark.parametrize("lock", ["row", "backup", "metadata"])
def test_a_lock_that_is_not_free_in_time_says_nothing(driver: Driver, lock: str) -> None:
    holder, waiter = driver.connect(user="root", password=""), driver.connect()
    held = {
        "row": ["START TRANSACTION", "UPDATE t SET name = 'x'"],
        "backup": ["FLUSH TABLES WITH READ LOCK"],
        "metadata": ["START TRANSACTION", "SELECT * FROM t"],
    }
    run(holder, *held[lock])
    run(waiter, "SET innodb_lock_wait_timeout = 0, lock_wait_timeout = 0")
    work = "ALTER TABLE t ADD COLUMN more INT" if lock == "metadata" else "UPDATE t SET name = 'y'"
    raised = error(run, waiter, work)
    assert number(raised) == 1205
    assert means(raised) is UNKNOWN


def test_a_query_that_an_administrator_kills_says_nothing(driver: Driver) -> None:
    connection = driver.connect()
    with killed(driver.server, "QUERY", "SLEEP"):
        raised = error(run, connection, "SELECT SLEEP(5) FROM t")
    assert number(raised) == 1317
    assert means(raised) is UNKNOWN


def test_a_connection_that_an_administrator_kills_is_unavailable_for_that_moment(driver: Driver) -> None:
    connection = driver.connect()
    with killed(driver.server, "CONNECTION", "SLEEP"):
        raised = error(run, connection, "SELECT SLEEP(5) FROM t")
    assert number(raised) in (1927, 2013)
    assert means(raised) is UNAVAILABLE


@contextlib.contextmanager
def killed(server: MariaDb, what: str, statement: str) -> Iterator[None]:
    """Kill the query, or its connection, as soon as it runs."""

    def kill() -> None:
        find = f"SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT {statement}%'"
        ids = eventually(lambda: re.findall(r"\d+", server.sql(find)))
        server.sql(f"KILL {what} {ids[0]}")

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    thread.join()


def test_a_server_that_takes_no_writes_is_unavailable(driver: Driver) -> None:
    connection = driver.connect()
    driver.server.sql("SET GLOBAL read_only = ON")
    try:
        raised = error(run, connection, "INSERT INTO t VALUES (3, 'a')")
    finally:
        driver.server.sql("SET GLOBAL read_only = OFF")
    assert number(raised) == 1290
    assert means(raised) is UNAVAILABLE


def test_an_option_that_forbids_a_statement_is_an_answer(driver: Driver) -> None:
    connection = driver.connect(user="root", password="")
    raised = error(run, connection, "SELECT * FROM app.t INTO OUTFILE '/proc/absent'")
    assert number(raised) in (1, 1290)
    assert means(raised) is not UNAVAILABLE


@pytest.mark.parametrize(
    ("expected", "changed"),
    [
        (1044, {"database": "absent"}),
        (1045, {"password": "wrong"}),
        (1049, {"user": "root", "password": "", "database": "absent"}),
    ],
)
def test_a_server_that_does_not_let_us_in_is_unavailable(
    driver: Driver, expected: int, changed: dict[str, Any]
) -> None:
    raised = error(driver.connect, **changed)
    assert number(raised) == expected
    assert means(raised) is UNAVAILABLE


def test_a_server_without_a_free_connection_is_unavailable(driver: Driver) -> None:
    driver.server.sql("SET GLOBAL max_connections = 10")
    try:
        raised = error(lambda: [driver.connect() for _ in range(20)])
    finally:
        driver.server.sql("SET GLOBAL max_connections = DEFAULT")
    assert number(raised) == 1040
    assert means(raised) is UNAVAILABLE


def test_a_user_without_a_free_connection_is_unavailable(driver: Driver) -> None:
    driver.server.sql(f"GRANT ALL ON app.* TO few@'%' IDENTIFIED BY '{PASSWORD}' WITH MAX_USER_CONNECTIONS 1")
    driver.connect(user="few")
    raised = error(driver.connect, user="few")
    assert number(raised) == 1226
    assert means(raised) is UNAVAILABLE


def test_a_damaged_table_is_unavailable_and_only_work_can_clear_it(driver: Driver) -> None:
    driver.server.sql("FLUSH TABLES app.crashed")
    index = driver.server.data / "app" / "crashed.MYI"
    # Byte 24 of the header: the number of open counts of a table that was not closed.
    index.write_bytes(index.read_bytes()[:60])
    raised = error(run, driver.connect(), "SELECT * FROM crashed", "INSERT INTO crashed VALUES (1)")
    assert means(raised) is UNAVAILABLE
    assert classify(raised).by_work


def test_an_exception_of_the_driver_itself_says_nothing(driver: Driver) -> None:
    connection = driver.connect()
    cursor = connection.cursor()
    connection.close()
    raised = error(cursor.execute, "SELECT 1")
    assert means(raised) is UNKNOWN


def test_a_frozen_server_is_unavailable_when_the_timeout_ends(driver: Driver) -> None:
    connection = driver.connect(read_timeout=1)
    driver.server.freeze()
    try:
        raised = error(run, connection, "SELECT * FROM t")
    finally:
        driver.server.thaw()
    assert means(raised) is UNAVAILABLE


def test_a_name_that_cannot_be_resolved_is_unavailable(driver: Driver) -> None:
    assert means(error(driver.connect, host="absent.invalid")) is UNAVAILABLE


def test_aiomysql_raises_what_pymysql_does(server: MariaDb) -> None:
    async def work(statement: str) -> None:
        named = server.arguments()
        connection = await aiomysql.connect(db=named.pop("database"), **named)
        try:
            await (await connection.cursor()).execute(statement)
        finally:
            connection.close()

    assert means(error(asyncio.run, work("SELECT absent FROM t"))) is ANSWERED
    server.sql("SET GLOBAL read_only = ON")
    try:
        assert means(error(asyncio.run, work("INSERT INTO t VALUES (3, 'a')"))) is UNAVAILABLE
    finally:
        server.sql("SET GLOBAL read_only = OFF")


@pytest.mark.parametrize("make", [sqlalchemy.create_engine, engines.create_engine])
@pytest.mark.parametrize("dialect", ["pymysql", "mysqldb", "mysqlconnector"])
def test_wrappers_do_not_change_the_meaning(server: MariaDb, make: Any, dialect: str) -> None:
    engine = make(f"mysql+{dialect}://app:{PASSWORD}@127.0.0.1:{server.port}/app")

    def execute(*statements: str) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(sqlalchemy.text(statement))

    assert means(error(execute, "INSERT INTO t VALUES (1, 'a')")) is ANSWERED
    assert means(error(execute, "SELECT * FROM absent")) is UNKNOWN
    server.sql("SET GLOBAL read_only = ON")
    try:
        assert means(error(execute, "INSERT INTO t VALUES (3, 'a')")) is UNAVAILABLE
    finally:
        server.sql("SET GLOBAL read_only = OFF")
    lock = "SET innodb_lock_wait_timeout = 0"
    with engine.begin() as holder:
        holder.execute(sqlalchemy.text("UPDATE t SET name = 'x'"))
        assert means(error(execute, lock, "UPDATE t SET name = 'y'")) is UNKNOWN
    with engine.connect() as connection:
        server.sql("KILL USER app")
        assert means(error(connection.execute, sqlalchemy.text("SELECT 1"))) is UNAVAILABLE
    engine.dispose()


@pytest.mark.parametrize("make", [sqlalchemy.create_engine, engines.create_engine])
def test_a_pool_without_a_free_place_is_unavailable_and_only_work_can_clear_it(
    server: MariaDb, make: Any
) -> None:
    url = f"mysql+pymysql://app:{PASSWORD}@127.0.0.1:{server.port}/app"
    size = "max_pool_size" if make is engines.create_engine else "pool_size"
    engine = make(url, max_overflow=0, pool_timeout=0, **{size: 1})
    with engine.connect():
        raised = error(engine.connect)
    engine.dispose()
    assert means(raised) is UNAVAILABLE
    assert classify(raised).by_work


def test_a_full_disk_is_unavailable_and_only_work_can_clear_it(driver: Driver) -> None:
    name = driver.name.lower()
    driver.server.sql(f"CREATE TABLE app.{name} (text VARCHAR(7000)) DATA DIRECTORY='{driver.disk}'")
    connection = driver.connect(autocommit=True)
    run(connection, *[f"INSERT INTO {name} VALUES (REPEAT('x', 7000))"] * 50)
    filler = fill(driver.disk)
    raised = error(run, connection, *[f"INSERT INTO {name} VALUES (REPEAT('x', 7000))"] * 5000)
    sort = error(run, connection, "SET tmp_memory_table_size = 0", LARGE_RESULT)
    filler.unlink()
    driver.server.sql(f"DROP TABLE app.{name}")
    assert number(raised) == 1114
    for each in (raised, sort):
        assert means(each) is UNAVAILABLE
        assert classify(each).by_work


# These end the server. They come last.


def test_a_server_that_shuts_down_is_unavailable(server: MariaDb) -> None:
    drivers = [Driver(server, name) for name in DRIVERS]
    connections = [driver.connect() for driver in drivers]
    server.stop()
    for driver, connection in zip(drivers, connections, strict=True):
        assert means(error(run, connection, "SELECT 1")) is UNAVAILABLE
        assert means(error(driver.connect)) is UNAVAILABLE
    server.options = ("--innodb-read-only",)
    server.start()


@pytest.mark.parametrize("name", DRIVERS)
def test_a_storage_that_takes_no_writes_is_unavailable(server: MariaDb, name: str) -> None:
    driver = Driver(server, name)
    raised = error(run, driver.connect(), "INSERT INTO t VALUES (3, 'a')")
    driver.close()
    assert number(raised) in (1036, 1836)
    assert means(raised) is UNAVAILABLE


def test_a_killed_server_is_unavailable(server: MariaDb) -> None:
    drivers = [Driver(server, name) for name in DRIVERS]
    connections = [driver.connect() for driver in drivers]
    server.kill()
    for driver, connection in zip(drivers, connections, strict=True):
        assert means(error(run, connection, "SELECT 1")) is UNAVAILABLE
        assert means(error(driver.connect)) is UNAVAILABLE
