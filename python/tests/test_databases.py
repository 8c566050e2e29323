"""What a service says while a real database server fails it in one of the ways that servers do."""

from __future__ import annotations

import contextlib
import time

import pytest
from servers import PASSWORD, Galera, MariaDb, PostgreSql
from test_hooks import START

from conftest import Service, eventually

PROGRAM = """
from sqlalchemy import create_engine, text
engine = create_engine("URL", pool_size=2)
def run(sql):
    try:
        with engine.begin() as connection: connection.execute(text(sql))
    except Exception as error: print(type(error).__name__, flush=True)
"""

LOGS = "import logging; logging.basicConfig()\n"
IDLE = "run('select 1'); sys.stdin.read()"
READS = "while True: run('select * from t'); time.sleep(0.05)"
WRITES = "while True: run('select * from t'); run('insert into t values (1)'); time.sleep(0.05)"


@pytest.fixture
def fast(service: Service) -> Service:
    """A service whose indicators fail and are refreshed soon."""
    service.environment |= {
        "HEALTHBOARD_REFRESH_INTERVAL": "0.5",
        "HEALTHBOARD_FAILURE_WINDOW": "3",
        "HEALTHBOARD_STALL_AFTER": "9",
    }
    return service


def start(service: Service, server: MariaDb | PostgreSql, program: str) -> None:
    """Start the program, and wait until its database is known to work and to take writes."""
    scheme = "mysql+pymysql" if isinstance(server, MariaDb) else "postgresql+psycopg"
    url = f"{scheme}://app:{PASSWORD}@127.0.0.1:{server.port}/app"
    service.start(START + PROGRAM.replace("URL", url) + program)
    eventually(lambda: service.health()["details"].get("database", {}).get("state") == "passing")
    # Longer than the refresh interval.
    time.sleep(1.5)


def statuses(service: Service, seconds: float) -> set[str]:
    """Return every status that the service has within this time."""
    found, end = set(), time.monotonic() + seconds
    while time.monotonic() < end:
        found.add(service.health()["status"])
        time.sleep(0.02)
    return found


def until(service: Service, status: str) -> None:
    eventually(lambda: service.health()["status"] == status, within=40)


@pytest.mark.parametrize("work", [IDLE, READS, WRITES], ids=["idle", "reads", "writes"])
def test_a_server_that_refuses_writes_is_a_fault_until_it_takes_them(
    fast: Service, mariadb: MariaDb, work: str
) -> None:
    # A service that reads records successes all the time: its database is asked for writes before.
    start(fast, mariadb, "run('select 1'); time.sleep(1.5)\n" + work)
    try:
        mariadb.sql("set global read_only = 1")
        if work == READS:
            # It needs no writes.
            assert statuses(fast, 3) == {"OK"}
            return
        until(fast, "FAULT")
        assert statuses(fast, 3) == {"FAULT"}
    finally:
        mariadb.sql("set global read_only = 0")
    until(fast, "OK")


def test_a_replica_that_is_only_read_is_well(fast: Service, mariadb: MariaDb) -> None:
    try:
        mariadb.sql("set global read_only = 1")
        start(fast, mariadb, IDLE)
        assert statuses(fast, 3) == {"OK"}
    finally:
        mariadb.sql("set global read_only = 0")


def test_a_lock_for_a_backup_is_seen_by_an_idle_service(fast: Service, mariadb: MariaDb) -> None:
    import pymysql

    start(fast, mariadb, IDLE)
    with pymysql.connect(host="127.0.0.1", port=mariadb.admin_port, user="root") as backup:
        backup.cursor().execute("flush tables with read lock")
        until(fast, "DEGRADED")
        assert fast.health()["details"]["database"]["error"] == "NoAnswer"
        until(fast, "FAULT")
    until(fast, "OK")


def test_an_idle_service_asks_one_small_statement_and_makes_no_connection(
    fast: Service, mariadb: MariaDb
) -> None:
    fast.environment["HEALTHBOARD_REFRESH_INTERVAL"] = "1"
    start(fast, mariadb, IDLE)

    def count() -> dict[str, int]:
        names = "'Com_update', 'Com_select', 'Connections'"
        rows = mariadb.sql(f"show global status where variable_name in ({names})").splitlines()[1:]
        return {name: int(value) for name, value in (row.split() for row in rows)}

    before, begin = count(), time.monotonic()
    time.sleep(6)
    after, seconds = count(), time.monotonic() - begin
    added = {name: after[name] - before[name] for name in after}
    assert 2 <= added.pop("Com_update") <= seconds / 0.8 + 1
    # The second count is a connection of its own.
    assert added == {"Com_select": 0, "Connections": 1}


def test_a_restarted_server_leaves_nothing_in_the_log(fast: Service) -> None:
    with MariaDb() as server:
        server.sql("create table app.t (a int)")
        start(fast, server, LOGS + IDLE)
        server.stop()
        until(fast, "FAULT")
        server.start()
        until(fast, "OK")
        assert foreign_lines(fast) == []


def test_a_server_without_connections_to_spare_is_well_while_the_pool_has_one(
    fast: Service, mariadb: MariaDb
) -> None:
    import pymysql

    start(fast, mariadb, IDLE)
    mariadb.sql("set global max_connections = 10")
    taken = []
    with contextlib.suppress(pymysql.err.OperationalError):
        while True:
            taken.append(pymysql.connect(**mariadb.arguments()))
    try:
        assert statuses(fast, 3) == {"OK"}
    finally:
        for connection in taken:
            connection.close()
        mariadb.sql("set global max_connections = 151")


def test_a_frozen_server_is_degraded_soon_and_then_a_fault(fast: Service) -> None:
    with MariaDb() as server:
        start(fast, server, IDLE)
        server.freeze()
        until(fast, "DEGRADED")
        until(fast, "FAULT")
        server.thaw()
        until(fast, "OK")


def test_a_node_outside_its_cluster_is_a_fault_and_nothing_is_logged(fast: Service) -> None:
    with Galera() as node:
        node.sql("create table app.t (a int primary key)")
        start(fast, node, LOGS + IDLE)
        node.kill_arbitrator()
        until(fast, "FAULT")
        node.start_arbitrator()
        until(fast, "OK")
        assert foreign_lines(fast) == []


def test_postgresql_that_refuses_writes_is_a_fault_until_it_takes_them(fast: Service) -> None:
    with PostgreSql() as server:
        server.sql("create table t (a int); grant all on t to app", database="app")
        start(fast, server, WRITES)
        server.sql("alter system set default_transaction_read_only = on; select pg_reload_conf()")
        until(fast, "FAULT")
        assert statuses(fast, 3) == {"FAULT"}
        # This session is read only as well.
        server.sql("alter system reset default_transaction_read_only; select pg_reload_conf()")
        until(fast, "OK")


def foreign_lines(service: Service) -> list[str]:
    """End the service, and return the lines that it has logged itself."""
    return [line for line in service.end().splitlines() if ":healthboard:" not in line]
