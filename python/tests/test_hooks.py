"""The hooks on the real libraries: what they record, and that they do not affect the service."""

from __future__ import annotations

import os
import platform

import pytest

from conftest import Service, ask, eventually

START = """
import os, sys, time
import healthboard
from healthboard import hooks
hooks.install()
healthboard.start("svc")
"""


def details(service: Service, name: str, **wanted: object) -> None:
    """Wait until the report has these values for an indicator."""
    eventually(lambda: wanted.items() <= service.health()["details"].get(name, {}).items(), within=10)


SQLITE = """
from sqlalchemy import create_engine, pool, text
engine = create_engine("sqlite:///base/db.sqlite", poolclass=pool.NullPool, connect_args={"timeout": 0})
def query(sql="select 1"):
    with engine.connect() as connection:
        return connection.execute(text(sql)).scalar()
def fails(sql="select 1"):
    try: query(sql)
    except Exception as error: print(type(error).__name__, type(error.orig).__name__, flush=True)
os.mkdir("base")
"""


@pytest.fixture
def sqlalchemy(service: Service) -> Service:
    pytest.importorskip("sqlalchemy")
    return service


def test_a_statement_is_evidence_for_the_database(sqlalchemy: Service) -> None:
    sqlalchemy.start(START + SQLITE + "assert query() == 1; sys.stdin.read()")
    details(sqlalchemy, "database", state="passing", in_flight=0)


def test_a_database_that_is_gone_is_a_failure_until_it_returns(sqlalchemy: Service) -> None:
    sqlalchemy.start(
        START
        + SQLITE
        + "query(); os.rename('base', 'away'); fails(); fails(); sys.stdin.readline()\n"
        + "os.rename('away', 'base'); query(); sys.stdin.read()"
    )
    details(sqlalchemy, "database", state="transient", failures=2, error="OperationalError")
    assert sqlalchemy.process is not None
    assert sqlalchemy.process.stdin is not None
    sqlalchemy.process.stdin.write("\n")
    sqlalchemy.process.stdin.flush()
    details(sqlalchemy, "database", state="passing")
    assert sqlalchemy.end() == "OperationalError OperationalError\n" * 2


@pytest.mark.parametrize(
    "answered",
    [
        "query('create table t (a unique)'); fails('insert into t values (1), (1)')",
        "query(); c = engine.raw_connection().cursor()\n"
        "c.execute('begin exclusive'); fails('create table u (a)')",
    ],
    ids=["a constraint", "a lock"],
)
def test_a_database_that_refuses_a_statement_is_available(sqlalchemy: Service, answered: str) -> None:
    sqlalchemy.start(START + SQLITE + answered + "\nsys.stdin.read()")
    details(sqlalchemy, "database", state="passing", failures=0)
    assert "Error" in sqlalchemy.end()


def test_a_statement_that_hangs_is_in_flight(sqlalchemy: Service) -> None:
    sqlalchemy.environment["HEALTHBOARD_DATABASE__STALL_AFTER"] = "1"
    sqlalchemy.start(
        START
        + SQLITE
        + """
from sqlalchemy import event
event.listen(engine, "connect", lambda c, r: c.create_function("hang", 0, lambda: time.sleep(60)))
query("select hang()")
"""
    )
    details(sqlalchemy, "database", state="stalled", in_flight=1)
    assert sqlalchemy.health()["status"] == "FAULT"


def test_uninstalled_hooks_leave_nothing_behind(sqlalchemy: Service) -> None:
    pytest.importorskip("oslo_service")
    output = sqlalchemy.run(
        """
import os, sys
from oslo_config import cfg
before = cfg.ConfigOpts.__call__, os._exit
"""
        + START
        + SQLITE
        + """
from oslo_service import periodic_task
query()
assert cfg.ConfigOpts.__call__ is not before[0] and os._exit is not before[1]
assert "do_execute" in vars(engine.dialect)
hooks.uninstall()
assert (cfg.ConfigOpts.__call__, os._exit) == before
assert "do_execute" not in vars(engine.dialect)
assert not hasattr(periodic_task.PeriodicTasks.run_periodic_tasks, "__wrapped__")
from healthboard import imports
# It waits for eventlet, since `progress` depends on that.
assert set(imports._hooks) == {"eventlet"}, imports._hooks
assert query() == 1
"""
    )
    assert output == ""


CHANGED = """
sys.path.insert(0, ".")
os.makedirs("oslo_service")
open("oslo_service/__init__.py", "w").close()
open("oslo_service/periodic_task.py", "w").write('''
class PeriodicTasks:
    {body}
''')
"""


@pytest.mark.parametrize("body", ["pass", "run_periodic_tasks = 5"], ids=["gone", "no function"])
def test_a_missing_or_changed_target_is_skipped_and_logged_once(service: Service, body: str) -> None:
    output = service.run(
        START
        + CHANGED.replace("{body}", body)
        + """
import logging
logging.basicConfig()
from oslo_service import periodic_task
hooks.install()
print("the service runs")
"""
    )
    line = "`PeriodicTasks.run_periodic_tasks` is not a function in this version; its calls are not recorded"
    assert output.count(line) == 1
    assert "the service runs" in output


def test_a_hook_that_raises_is_logged_once_and_the_service_runs(service: Service) -> None:
    output = service.run(
        START
        + """
import logging
logging.basicConfig()
from healthboard import imports
def bad(module): raise RuntimeError("bad hook, mysql://nova:s3cret@db/")
for _ in range(2): imports.when_imported("colorsys", bad)
import colorsys
assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
assert type(colorsys.__loader__).__name__ == type(colorsys.__spec__.loader).__name__ == "SourceFileLoader"
"""
    )
    warning = "hook for colorsys: RuntimeError: bad hook, mysql://***@db/; the service is not affected"
    assert output.count(warning) == 1, output


OTHER_SIGNATURE = """
import logging
logging.basicConfig()
from healthboard.hooks.patches import Patches
open("changed.py", "w").write("def call(new, *, only=1): return new, only")
sys.path.insert(0, ".")
patches = Patches({"changed": lambda module: patches.METHOD(module, "call", ACTION)})
patches.install()
import changed
for _ in range(2): assert changed.call(1, only=2) == (1, 2)
try: changed.call()
except TypeError as error: print(error)
"""


@pytest.mark.parametrize(
    ("method", "action"), [("before", "lambda old, gone: 0"), ("after", "lambda result, old, gone: 0")]
)
def test_a_target_with_another_signature_is_logged_once_and_works_as_before(
    service: Service, method: str, action: str
) -> None:
    output = service.run(START + OTHER_SIGNATURE.replace("METHOD", method).replace("ACTION", action))
    assert output.count("hook for changed: TypeError: ") == output.count("the service is not affected") == 1
    assert output.splitlines()[-1] == "call() missing 1 required positional argument: 'new'"


def test_a_failed_import_raises_the_usual_error(service: Service) -> None:
    output = service.run(
        START
        + """
from healthboard import imports
imports.when_imported("no_such_module", print)
try: import no_such_module
except ModuleNotFoundError as error: print(error)
open("broken.py", "w").write("1/0")
sys.path.insert(0, ".")
imports.when_imported("broken", print)
try: import broken
except ZeroDivisionError: print("zero")
"""
    )
    assert output == "No module named 'no_such_module'\nzero\n"


SECRETS = """
import logging, sqlite3
logging.basicConfig(level=logging.DEBUG)
texts = ("mysql+pymysql://nova:CANARY@db/nova refused", "password: CANARY", "token=CANARY&x=1",
         "{'X-Auth-Token': 'CANARY'}", "http://x/?key=CANARY", "nova:CA/NARY#CANARY@db", "--password CANARY")
@healthboard.healthcheck("work")
def work(text):
    try: raise ValueError(text)
    except ValueError as error: raise OSError(5, text) from error
class Driver:
    def __getattr__(self, name): return getattr(sqlite3, name)
    def connect(self, *_, **__): raise sqlite3.OperationalError(self.text)
"""


def test_secrets_in_exceptions_appear_nowhere(sqlalchemy: Service) -> None:
    service = sqlalchemy
    service.environment["HEALTHBOARD_ERROR_DETAIL"] = "message"
    service.start(
        START
        + SECRETS
        + """
from sqlalchemy import create_engine
driver = Driver()
engine = create_engine("sqlite://", module=driver)
for driver.text in texts:
    for attempt in (lambda: work(driver.text), engine.connect):
        try: attempt()
        except Exception: pass
        else: raise AssertionError
    healthboard.record_fail("named", OSError(5, driver.text))
    time.sleep(1.1)
sys.stdin.read()
"""
    )
    for name in ("work", "database", "named"):
        details(service, name, failures=7)
    answers = "".join(ask(service.socket, path)[1] for path in ("/health", "/readyz?verbose", "/livez"))
    boards = b"".join(path.read_bytes() for path in service.folder.glob("run/svc/*.board"))
    assert "OSError 5: " in answers
    assert "OperationalError: --password***" in answers
    assert "CANARY" not in answers
    # Answers do not reveal the versions of kernel and interpreter either.
    assert os.uname().release not in answers
    assert platform.python_version() not in answers
    assert b"CANARY" not in boards
    assert "CANARY" not in service.end()
