"""Refresh in real processes, with native threads and under eventlet."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from conftest import Service, eventually

START = """
import os, sys, time
import healthboard
from healthboard import Indicator, refresher

assert healthboard.start("svc", {"refresh_interval": "0.2", "ttl": "3", "stall_after": "1"}) == []
work = Indicator("work")

def operation():
    with open("refreshes", "a") as file: file.write(f"{os.getpid()}\\n")
    while os.path.exists("hangs"): time.sleep(0.1)
    if os.path.exists("silent"): raise refresher.NotAsked
    if os.path.exists("broken"): raise OSError("broken")

refresher.register(work, operation)
"""

WAIT = "sys.stdin.read()\n"

EVENTLET = """
import warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
"""

HUB = "import eventlet\nwhile True: eventlet.sleep(0.1)\n"

both = pytest.mark.parametrize(
    ("before", "after"), [("", WAIT), (EVENTLET, HUB)], ids=["threading", "eventlet"]
)


def refreshes(service: Service) -> list[str]:
    """Return the pid of each refresh."""
    file = service.folder / "refreshes"
    return file.read_text().splitlines() if file.exists() else []


def work(service: Service) -> Callable[[str], bool]:
    return lambda state: service.health()["details"].get("work", {}).get("state") == state


@both
def test_an_idle_service_stays_ok(service: Service, before: str, after: str) -> None:
    service.start(before + START + "work.record_ok()\n" + after)
    eventually(lambda: len(refreshes(service)) > 3)
    # For longer than the ttl.
    begin = time.monotonic()
    while time.monotonic() < begin + 4:
        assert service.health()["status"] == "OK"
        time.sleep(0.1)


@both
def test_a_failed_indicator_recovers_without_work(service: Service, before: str, after: str) -> None:
    (service.folder / "broken").touch()
    service.start(before + START + "work.record_fail('OSError')\n" + after)
    eventually(lambda: service.health()["details"].get("work", {}).get("failures", 0) > 2)
    (service.folder / "broken").unlink()
    eventually(lambda: work(service)("passing"))


@both
def test_a_refresh_that_hangs_is_in_flight_and_not_run_again(
    service: Service, before: str, after: str
) -> None:
    (service.folder / "hangs").touch()
    service.start(before + START + "work.record_ok()\n" + after)
    eventually(lambda: work(service)("stalled"))
    health = service.health()
    assert health["details"]["work"]["in_flight"] == 1
    assert health["details"]["progress"]["state"] == "passing"
    assert len(refreshes(service)) == 1
    (service.folder / "hangs").unlink()
    eventually(lambda: work(service)("passing"))


def test_an_indicator_without_outcomes_is_not_refreshed(service: Service) -> None:
    service.start(START + "Indicator('other').record_ok()\n" + WAIT)
    eventually(lambda: service.health()["details"]["progress"]["state"] == "passing")
    time.sleep(1.5)
    assert refreshes(service) == []


def test_an_operation_that_records_nothing_is_not_run_in_a_tight_loop(service: Service) -> None:
    (service.folder / "silent").touch()
    service.start(START + "work.record_ok()\n" + WAIT)
    eventually(lambda: refreshes(service))
    time.sleep(1.5)
    assert len(refreshes(service)) <= 3


def test_a_master_refreshes_nothing_and_its_child_what_it_recorded_itself(service: Service) -> None:
    service.start(
        START
        + """
work.record_ok()
while not os.path.exists("refreshes"): time.sleep(0.01)
refresher.stop()
os.rename("refreshes", "before")
if (pid := os.fork()) == 0:
    work.record_ok()
print(os.getpid(), pid, flush=True)
"""
        + WAIT
    )
    eventually(lambda: len(refreshes(service)) > 3)
    assert service.process is not None
    assert str(service.process.pid) not in refreshes(service)


def test_a_worker_runs_the_operations_of_its_master_at_its_start(service: Service) -> None:
    service.start(
        START
        + """
from healthboard import progress
if (pid := os.fork()) == 0:
    progress.attach()
    sys.stdin.read()
os.waitpid(pid, 0)
"""
    )
    eventually(lambda: len(refreshes(service)) > 2)
    assert work(service)("passing")


def test_the_process_of_a_console_refreshes_nothing(service: Service) -> None:
    pytest.importorskip("websockify")
    service.start(
        START
        + """
from healthboard import hooks
hooks.install()
from websockify import websockifyserver

class Proxy(websockifyserver.WebSockifyServer):
    def __init__(self): pass
    def do_handshake(self, *_):
        work.record_ok()
        open("serves", "w").close()
        sys.stdin.read()

if os.fork() == 0:
    Proxy().top_new_client(None, None)
    os._exit(0)
work.record_ok()
os.wait()
"""
    )
    eventually((service.folder / "serves").exists)
    eventually(lambda: service.health()["processes"]["alive"] == 2)
    eventually(lambda: len(refreshes(service)) > 5)
    assert service.process is not None
    assert set(refreshes(service)) == {str(service.process.pid)}


def test_a_failure_is_refreshed_long_before_a_long_interval_ends(service: Service) -> None:
    service.start(
        START.replace('"0.2"', '"600"').replace('"ttl": "3"', '"ttl": "600"')
        + "work.record_fail('OSError')\n"
        + WAIT
    )
    eventually(lambda: work(service)("passing"))
    assert len(refreshes(service)) == 1


@both
def test_an_operation_that_hangs_delays_no_other(service: Service, before: str, after: str) -> None:
    service.start(
        before
        + START
        + """
def hangs():
    while True: time.sleep(0.1)

for name in ("a", "b"):
    Indicator(name).record_ok()
    refresher.register(Indicator(name), hangs)
work.record_ok()
"""
        + after
    )
    eventually(lambda: len(refreshes(service)) > 3)
    details = service.health()["details"]
    assert [details[name]["in_flight"] for name in ("a", "b")] == [1, 1]


def test_a_public_refresh_asks_at_start_and_its_exception_is_a_failure(service: Service) -> None:
    service.start(
        START.replace("refresher.register(work, operation)", "healthboard.refresh('work', operation)")
        + "open('broken', 'w').close()\nhealthboard.record_ok('other')\n"
        + WAIT
    )
    eventually(lambda: service.health()["details"].get("work", {}).get("error") == "OSError")
    (service.folder / "broken").unlink()
    eventually(lambda: work(service)("passing"))


def test_a_refresh_that_returns_late_has_failed_until_it_returns(service: Service) -> None:
    (service.folder / "hangs").touch()
    service.start(
        START.replace(
            "refresher.register(work, operation)", "healthboard.refresh('work', operation)"
        ).replace('"ttl": "3", "stall_after": "1"', '"ttl": "30"')
        + "healthboard.record_ok('other')\n"
        + WAIT
    )
    found = eventually(lambda: (d := service.health()["details"].get("work", {})).get("error") and d)
    assert (found["error"], found["status"], found["in_flight"]) == ("NoAnswer", "DEGRADED", 1)
    (service.folder / "hangs").unlink()
    eventually(lambda: work(service)("passing"))


@pytest.mark.parametrize("wrong", ["'text'", "asyncio.sleep"])
def test_a_refresh_that_is_no_function_is_refused(service: Service, wrong: str) -> None:
    output = service.run(
        START
        + f"""
import asyncio
try: healthboard.refresh("work", {wrong})
except TypeError as error: print(error)
"""
    )
    assert output.startswith("refresh of `work`: expected a function, found ")
