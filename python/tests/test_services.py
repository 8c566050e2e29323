"""Services with several processes, run by oslo.service and cotyledon."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest
from test_hosts import probing

from conftest import Service, all_ended_in_order, eventually

MASTER = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
{patch}
from oslo_config import cfg
from oslo_service import backend
backend.init_backend(backend.BackendType.{kind})
from oslo_service import service
import healthboard

class Slow(service.ServiceBase):
    stopped = False
    def start(self): healthboard.record_ok("work")
    def wait(self):
        while not self.stopped: time.sleep(0.1)
    def reset(self): pass
    def stop(self):
        if not self.stopped: time.sleep(3)
        self.stopped = True

cfg.CONF([], project="svc", default_config_files=[], default_config_dirs=[])
service.launch(cfg.CONF, Slow(), workers={workers}).wait()
"""

THREADING = {"patch": "", "kind": "THREADING"}
EVENTLET = {"patch": "import eventlet; eventlet.monkey_patch()", "kind": "EVENTLET"}


@pytest.fixture
def oslo(service: Service) -> Service:
    pytest.importorskip("oslo_service")
    return service


@pytest.mark.parametrize("backend", [THREADING, EVENTLET], ids=["threading", "eventlet"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_that_stops_drains_and_says_goodbye(
    oslo: Service, backend: dict[str, str], workers: int
) -> None:
    oslo.start(MASTER.format(**backend, workers=workers), launch=True)
    # Under eventlet a single worker runs in the master itself.
    processes = 1 if backend is EVENTLET and workers == 1 else workers + 1
    eventually(lambda: oslo.health()["processes"]["alive"] == processes)
    assert oslo.health()["status"] == "OK"
    assert oslo.process is not None
    with probing(oslo, "/readyz") as ready, probing(oslo, "/livez") as alive:
        eventually(lambda: ready.answers() == ["200"])
        oslo.process.terminate()
        oslo.process.wait(30)
        eventually(lambda: ready.answers()[-1] == alive.answers()[-1] == "none")
    ready.assert_answers("200", "503")
    alive.assert_answers("200")
    assert all_ended_in_order(oslo.folder)


def test_the_death_of_a_worker_is_reported_and_its_successor_serves(oslo: Service) -> None:
    oslo.start(MASTER.format(**THREADING, workers=2), launch=True)
    eventually(lambda: oslo.health()["processes"]["alive"] == 3)
    assert oslo.process is not None
    children = f"/proc/{oslo.process.pid}/task"
    worker = eventually(lambda: children_of(children))[0]
    os.kill(worker, signal.SIGKILL)
    health = eventually(
        lambda: (h := oslo.health())["processes"] == {**h["processes"], "alive": 3, "dead": 1} and h
    )
    assert health["status"] == "DEGRADED"
    assert str(worker) in health["message"]


def children_of(tasks: str) -> list[int]:
    children = []
    for task in Path(tasks).iterdir():
        # A thread can end between the listing and the reading.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            children += [int(pid) for pid in (task / "children").read_text().split()]
    return children
