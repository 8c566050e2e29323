"""What a service does again and again: reports that it is up, and periodic tasks."""

from __future__ import annotations

import pytest
from test_hooks import START, details

from conftest import Service

pytest.importorskip("oslo_service")

# A service that reports every 50 ms. A test puts its report into the module `agent`.
REPORTER = """
import logging
logging.basicConfig(handlers=[logging.NullHandler()])
sys.path.insert(0, ".")
open("agent.py", "w").write('''
import logging
LOG = logging.getLogger(__name__)
class Service:
    model_disconnected = False
    def report_state(self):
        {report}
''')
from oslo_service import backend
backend.init_backend(backend.BackendType.THREADING)
from oslo_service import loopingcall
import agent
service = agent.Service()
loop = loopingcall.FixedIntervalLoopingCall(service.report_state)
loop.start(interval=0.05, stop_on_exception=False)
sys.stdin.read()
"""

LOG_EXCEPTION = """
        try: raise OSError
        except Exception: LOG.exception("the server went away")
"""


def report(service: Service, body: str) -> None:
    service.start(START + REPORTER.replace("{report}", body))


def test_a_report_is_evidence_for_three_intervals(service: Service) -> None:
    report(service, "self.count = 1")
    details(service, "service_report", state="passing", impact="degrading", ttl=0.15)


def test_an_empty_report_is_no_evidence(service: Service) -> None:
    text = REPORTER.replace("{report}", "'To do.'").replace("sys.stdin", "time.sleep(0.5)\nsys.stdin")
    service.start(START + text.replace("sys.stdin", "healthboard.record_ok('work')\nsys.stdin"))
    details(service, "work", state="passing")
    assert "service_report" not in service.health()["details"]


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise OSError", "OSError"),
        ("LOG.error('no storage')", "NotReported"),
        (LOG_EXCEPTION, "OSError"),
        ("self.model_disconnected = True", "NotReported"),
    ],
    ids=["raised", "logged", "logged with its exception", "flagged"],
)
def test_a_report_that_tells_of_its_failure_has_failed(service: Service, body: str, error: str) -> None:
    report(service, body)
    details(service, "service_report", state="transient", error=error)


@pytest.mark.parametrize(
    "body",
    [
        "logging.getLogger('driver').error('of a retry that has succeeded since')",
        "import threading; t = threading.Thread(target=LOG.error, args=('',)); t.start(); t.join()",
        "LOG.warning('slow')",
        "self.model_disconnected and LOG.error('Recovered'); self.model_disconnected = False",
    ],
    ids=["of another module", "of another thread", "a warning", "of its recovery"],
)
def test_an_error_that_is_none_of_the_report_is_no_failure(service: Service, body: str) -> None:
    report(service, body)
    details(service, "service_report", state="passing")


def test_a_report_that_recovers_is_a_success(service: Service) -> None:
    # Every second report recovers, and says so in an error.
    body = """
        self.model_disconnected = not self.model_disconnected
        if not self.model_disconnected: LOG.error("Recovered model server connection!")
"""
    report(service, "self.count = 1" + body)
    details(service, "service_report", error="NotReported")
    details(service, "service_report", state="passing")


@pytest.mark.parametrize(
    ("interval", "ttl"), [(600, 1800.0), (None, 180.0)], ids=["of a loop", "of the tasks"]
)
def test_periodic_tasks_count_for_three_intervals(service: Service, interval: int | None, ttl: float) -> None:
    start = "run()" if interval is None else f"loopingcall.FixedIntervalLoopingCall(run).start({interval})"
    service.start(
        START
        + """
from oslo_config import cfg
from oslo_service import backend
backend.init_backend(backend.BackendType.THREADING)
from oslo_service import loopingcall, periodic_task
class Manager(periodic_task.PeriodicTasks):
    @periodic_task.periodic_task
    def work(self, context): pass
conf = cfg.ConfigOpts()
conf([], default_config_files=[], default_config_dirs=[])
manager = Manager(conf)
def periodic_tasks(): return manager.run_periodic_tasks(None)
run = periodic_tasks
"""
        + f"{start}\nsys.stdin.read()"
    )
    details(service, "periodic_tasks", state="passing", impact="degrading", ttl=ttl)
