"""The databases of a service: how they are told apart, and what refresh finds."""

from __future__ import annotations

import os
import time

import pytest
from test_hooks import SQLITE, START, details

from conftest import Service, eventually

pytest.importorskip("sqlalchemy")

ROLES = """
from oslo_config import cfg
cfg.CONF.register_opts([cfg.StrOpt("connection")], group="api_database")
cfg.CONF([], default_config_files=[], default_config_dirs=[])
cfg.CONF.set_override("connection", "sqlite:///base/api.sqlite", group="api_database")
"""

API = """
def query_api():
    with create_engine("sqlite:///base/api.sqlite").connect() as connection:
        connection.execute(text("select 1"))
"""


@pytest.fixture
def idle(service: Service) -> Service:
    """A service without work, which refreshes its indicators soon."""
    service.environment["HEALTHBOARD_REFRESH_INTERVAL"] = "0.2"
    return service


def test_the_api_database_is_told_apart(service: Service) -> None:
    pytest.importorskip("oslo_config")
    service.start(
        START + ROLES + SQLITE + API + "query_api(); sys.stdin.readline(); query(); sys.stdin.read()"
    )
    details(service, "api_database", state="passing", impact="critical")
    assert "database" not in service.health()["details"]
    proceed(service)
    details(service, "database", state="passing", impact="critical")


def test_without_the_api_database_option_every_database_is_the_database(service: Service) -> None:
    service.start(START + SQLITE + API + "query_api(); sys.stdin.read()")
    details(service, "database", state="passing")
    assert "api_database" not in service.health()["details"]


def test_an_idle_service_notices_that_its_database_goes_and_returns(idle: Service) -> None:
    idle.start(START + SQLITE + "query(); sys.stdin.read()")
    details(idle, "database", state="passing")
    (idle.folder / "base").rename(idle.folder / "away")
    eventually(lambda: failures(idle) >= 2)
    (idle.folder / "away").rename(idle.folder / "base")
    details(idle, "database", state="passing", failures=0)
    assert "Traceback" not in idle.end()


TABLE = """
def change(sql):
    with engine.begin() as connection: connection.execute(text(sql))
change("create table orders (number integer)")
"""


def test_an_idle_service_notices_that_its_file_of_sqlite_is_another_one(idle: Service) -> None:
    idle.start(START + SQLITE + TABLE + "sys.stdin.read()")
    await_refresh(idle)
    file = next((idle.folder / "base").iterdir())
    away = idle.folder / "away"
    file.rename(away)
    eventually(lambda: failures(idle) >= 2)
    assert not file.exists()
    file.touch()
    before = failures(idle)
    eventually(lambda: failures(idle) >= before + 2)
    away.rename(file)
    details(idle, "database", state="passing", failures=0)


def test_a_service_that_drops_its_tables_still_has_its_file(idle: Service) -> None:
    idle.start(START + SQLITE + TABLE + "sys.stdin.readline(); change('drop table orders'); sys.stdin.read()")
    await_refresh(idle)
    proceed(idle)
    await_refresh(idle)
    await_refresh(idle)
    assert failures(idle) == 0


def test_a_service_that_never_connected_notices_that_its_database_comes_up(idle: Service) -> None:
    idle.start(START + SQLITE.replace("os.mkdir", "print") + "fails(); del engine; sys.stdin.read()")
    eventually(lambda: failures(idle) >= 2)
    (idle.folder / "base").mkdir()
    details(idle, "database", state="passing", failures=0)


def test_a_full_pool_does_not_hide_that_the_database_works(idle: Service) -> None:
    full = "poolclass=pool.QueuePool, pool_size=1, max_overflow=0"
    idle.start(
        START
        + SQLITE.replace("poolclass=pool.NullPool", full)
        + """
kept = engine.connect()
os.rename("base", "away")
try: engine.dialect.do_execute(engine.dialect.connect(os.path.abspath("base/x")).cursor(), "select 1", ())
except Exception: print("failed", flush=True)
os.rename("away", "base")
sys.stdin.read()
"""
    )
    details(idle, "database", state="passing", failures=0)
    assert idle.end().startswith("failed\n")


def test_in_nova_compute_the_databases_are_informational(service: Service) -> None:
    compute = "import sys, types; sys.modules['nova.cmd.compute'] = types.ModuleType('compute')\n"
    service.start(compute + START + SQLITE + "query(); sys.stdin.read()")
    details(service, "database", state="passing", impact="informational")


def test_a_forked_child_refreshes_for_itself(idle: Service) -> None:
    idle.start(
        START
        + SQLITE
        + """
query()
if os.fork() == 0:
    query(); sys.stdin.read()
    os._exit(0)
os.wait()
"""
    )
    eventually(lambda: idle.health()["processes"]["alive"] == 2)
    details(idle, "database", state="passing", failures=0)
    os.rename(idle.folder / "base", idle.folder / "away")
    eventually(lambda: failures(idle) >= 4)


# Connections like those to a server: a statement begins a transaction.
CONNECTIONS = """
import sqlite3
class Connection(sqlite3.Connection):
    is_open = False
    def cursor(self, *_): return super().cursor(Cursor)
    def rollback(self): self.is_open = False
class Cursor(sqlite3.Cursor):
    def execute(self, *args):
        print("asked", "within a transaction" if self.connection.is_open else "", flush=True)
        self.connection.is_open = True
        return super().execute(*args)
engine = create_engine("sqlite:///base/db.sqlite", poolclass=POOL, connect_args={"factory": Connection})
"""


def test_a_refresh_leaves_no_transaction_open(idle: Service) -> None:
    idle.start(
        START
        + SQLITE
        + CONNECTIONS.replace("POOL", "pool.QueuePool")
        + """
query()
if os.fork() == 0:
    from healthboard import progress
    progress.attach(); sys.stdin.read()
    os._exit(0)
os.wait()
"""
    )
    eventually(lambda: idle.health()["processes"]["alive"] == 2)
    time.sleep(2)
    output = idle.end()
    assert output.count("asked") > 8
    # Each process chooses the question once, by a statement of its own.
    assert output.count("within") <= 2


def await_refresh(service: Service) -> None:
    """Wait for a success that is newer than this call."""
    details(service, "database", state="passing")
    first = service.health()["details"]["database"]["last_success"]
    eventually(lambda: service.health()["details"]["database"]["last_success"] > first)


def proceed(service: Service) -> None:
    """Write a line to its input."""
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write("\n")
    service.process.stdin.flush()


def failures(service: Service) -> int:
    return int(service.health()["details"].get("database", {}).get("failures", 0))


def test_another_database_has_an_indicator_of_its_own_which_is_degrading(idle: Service) -> None:
    idle.start(
        START
        + SQLITE
        + """
os.mkdir("other")
second = create_engine("sqlite:///other/cell1", poolclass=pool.NullPool)
query()
with second.connect() as connection: connection.execute(text("select 1"))
del connection
sys.stdin.read()
"""
    )
    details(idle, "database", state="passing", impact="critical")
    details(idle, "database_cell1", state="passing", impact="degrading")
    (idle.folder / "other").rename(idle.folder / "away")
    eventually(lambda: idle.health()["details"]["database_cell1"]["failures"] >= 2)
    details(idle, "database", state="passing")
    health = idle.health()
    assert health["status"] == "DEGRADED"
    assert health["message"].startswith("database_cell1: ")
    (idle.folder / "away").rename(idle.folder / "other")
    details(idle, "database_cell1", state="passing", failures=0)


def test_an_engine_that_connects_by_a_function_of_the_service_is_watched(idle: Service) -> None:
    idle.start(
        START
        + SQLITE.replace(
            "create_engine(", "create_engine(creator=lambda: __import__('sqlite3').connect('base/x'), url="
        )
        + "query(); sys.stdin.read()"
    )
    details(idle, "database", state="passing")
    (idle.folder / "base").rename(idle.folder / "away")
    eventually(lambda: failures(idle) >= 2)


def test_a_pool_without_a_free_place_is_a_failure_that_no_refresh_clears(idle: Service) -> None:
    empty = "poolclass=pool.QueuePool, pool_size=1, max_overflow=0, pool_timeout=0.3"
    idle.start(
        START
        + SQLITE.replace("poolclass=pool.NullPool", empty)
        + """
kept = engine.connect(); kept.execute(text("select 1"))
for _ in range(3):
    try: engine.connect()
    except Exception as error: print(type(error).__name__, flush=True)
sys.stdin.readline()
kept.close(); query(); sys.stdin.read()
"""
    )
    details(idle, "database", state="transient", failures=3, error="TimeoutError")
    # Several times the refresh interval.
    time.sleep(1)
    details(idle, "database", state="transient", failures=3)
    proceed(idle)
    details(idle, "database", state="passing", failures=0)


def test_a_worker_without_a_request_knows_that_the_configured_database_is_away(idle: Service) -> None:
    pytest.importorskip("oslo_db")
    roles = ROLES.replace("base/api.sqlite", "base/db.sqlite").replace("api_database", "database")
    idle.start(
        START
        + roles
        + "from oslo_db.sqlalchemy import enginefacade\n"
        + "from healthboard import progress; progress.attach(); sys.stdin.read()"
    )
    details(idle, "database", error="OperationalError")
    (idle.folder / "base").mkdir()
    details(idle, "database", state="passing", impact="critical")


def test_a_configured_database_is_asked_before_its_first_use(service: Service) -> None:
    pytest.importorskip("oslo_db")
    (service.folder / "svc.conf").write_text("[database]\nconnection = sqlite:///db.sqlite\n")
    service.start(
        START
        + """
from oslo_config import cfg
from oslo_db.sqlalchemy import enginefacade
cfg.CONF([], project="svc", default_config_files=["svc.conf"], default_config_dirs=[])
# As a middleware does.
cfg.ConfigOpts()([], project="svc", default_config_files=[], default_config_dirs=[])
from healthboard import progress
progress.attach()
sys.stdin.readline()
print("database" in cfg.CONF)
"""
    )
    details(service, "database", state="passing", impact="critical")
    proceed(service)
    # Another thread of the service may be reading the group, which fails while options come in.
    assert "False" in service.end()
