"""What a Django program says while its real database fails it, without SQLAlchemy."""

from __future__ import annotations

import time

import pytest
from servers import PASSWORD, MariaDb, PostgreSql
from test_databases import foreign_lines
from test_hooks import START, details

from conftest import Service, eventually

pytest.importorskip("django")

PROGRAM = """
import logging
logging.basicConfig()
try: import MySQLdb
except ImportError:
    import pymysql
    # Django asks for mysqlclient.
    pymysql.version_info = (2, 2, 1, "final", 0)
    pymysql.install_as_MySQLdb()
import django
from django.conf import settings
settings.configure(DATABASES=SETTINGS)
django.setup()
from django.db import connections, connection, transaction
def run(sql, alias="default"):
    try:
        with connections[alias].cursor() as cursor: cursor.execute(sql)
    except django.db.Error as error:
        print(type(error).__name__, flush=True)
        connections[alias].close()
"""

IDLE = "run('select * from t'); sys.stdin.read()"
WORK = "while True: run('select * from t'); run('insert into t values (1)'); time.sleep(0.05)"


@pytest.fixture
def fast(service: Service) -> Service:
    service.environment |= {"HEALTHBOARD_REFRESH_INTERVAL": "0.5", "HEALTHBOARD_FAILURE_WINDOW": "2"}
    return service


def settings(server: MariaDb | PostgreSql) -> dict[str, object]:
    engine = "mysql" if isinstance(server, MariaDb) else "postgresql"
    place = {"HOST": "127.0.0.1", "PORT": server.port, "NAME": "app", "USER": "app", "PASSWORD": PASSWORD}
    return {"ENGINE": f"django.db.backends.{engine}", **place}


def start(service: Service, server: MariaDb | PostgreSql, program: str) -> None:
    service.start(START + PROGRAM.replace("SETTINGS", str({"default": settings(server)})) + program)
    details(service, "database", state="passing", impact="critical")
    # Longer than the refresh interval.
    time.sleep(1.5)


@pytest.mark.parametrize("work", [IDLE, WORK], ids=["idle", "work"])
def test_a_server_that_refuses_writes_is_a_fault_until_it_takes_them(
    fast: Service, mariadb: MariaDb, work: str
) -> None:
    start(fast, mariadb, work)
    try:
        mariadb.sql("set global read_only = 1")
        eventually(lambda: fast.health()["status"] == "FAULT", within=30)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert fast.health()["status"] == "FAULT"
    finally:
        mariadb.sql("set global read_only = 0")
    eventually(lambda: fast.health()["status"] == "OK")


def test_a_frozen_server_is_seen_by_an_idle_service(fast: Service, mariadb: MariaDb) -> None:
    start(fast, mariadb, IDLE)
    mariadb.freeze()
    try:
        eventually(lambda: fast.health()["status"] == "DEGRADED", within=20)
    finally:
        mariadb.thaw()
    eventually(lambda: fast.health()["status"] == "OK")


def test_a_restarted_server_is_seen_and_leaves_nothing_in_the_log(fast: Service) -> None:
    with PostgreSql() as server:
        server.sql("create table t (a int); grant all on t to app", "app")
        start(fast, server, IDLE)
        server.stop()
        eventually(lambda: fast.health()["status"] == "FAULT", within=30)
        server.start()
        eventually(lambda: fast.health()["status"] == "OK")
        assert foreign_lines(fast) == []


def test_a_wrong_statement_is_an_answer_and_another_alias_has_an_indicator(service: Service) -> None:
    databases = {
        name: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{name}.sqlite"} for name in ("default", "b")
    }
    program = "run('nonsense'); run('select 1', 'b'); sys.stdin.read()"
    service.start(START + PROGRAM.replace("SETTINGS", str(databases)) + program)
    details(service, "database", state="passing", impact="critical")
    details(service, "database_b", state="passing", impact="degrading")
    assert service.end() == "OperationalError\n"


def test_a_worker_without_a_request_knows_that_its_database_is_away(fast: Service) -> None:
    with PostgreSql() as server:
        database = settings(server)
    program = "from healthboard import progress; progress.attach(); sys.stdin.read()"
    fast.start(START + PROGRAM.replace("SETTINGS", str({"default": database})) + program)
    eventually(lambda: fast.health()["status"] == "FAULT", within=20)
