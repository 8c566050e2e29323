"""Refresh, in real processes, natively threaded and under eventlet."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from conftest import Service, eventually

START = """
import os, sys, time
import healthboard
from healthboard import Indicator, refresh

assert healthboard.start("svc", {"refresh_interval": "0.2", "ttl": "3", "stall_after": "1"}) == []
work = Indicator("work")

def operation(failing):
    with open("asked", "a") as file: file.write(f"{os.getpid()} {failing}\\n")
    if os.path.exists("hangs"): hang()
    if os.path.exists("silent"): return
    with work.begin():
        if os.path.exists("broken"): raise OSError("broken")

def hang():
    with work.begin():
        while os.path.exists("hangs"): time.sleep(0.1)

refresh.offer(work, operation)
"""

WAIT = "import threading; threading.Thread(target=sys.stdin.read).start()\n"

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


def asked(service: Service) -> list[list[str]]:
    """Who was asked to refresh, and whether it was failing."""
    file = service.folder / "asked"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def work(service: Service) -> Callable[[str], bool]:
    return lambda state: service.health()["details"].get("work", {}).get("state") == state


@both
def test_an_idle_service_stays_ok(service: Service, before: str, after: str) -> None:
    service.start(before + START + "work.record_ok()\n" + after)
    eventually(lambda: len(asked(service)) > 3)
    # Longer than its ttl.
    begin = time.monotonic()
    while time.monotonic() < begin + 4:
        assert service.health()["status"] == "OK"
        time.sleep(0.1)


@both
def test_what_failed_comes_back_by_itself(service: Service, before: str, after: str) -> None:
    (service.folder / "broken").touch()
    service.start(before + START + "work.record_fail('OSError')\n" + after)
    eventually(lambda: asked(service)[-1:] and asked(service)[-1][1] == "True")
    eventually(lambda: service.health()["details"]["work"]["failures"] > 2)
    (service.folder / "broken").unlink()
    eventually(lambda: work(service)("passing"))


@both
def test_a_refresh_that_hangs_is_seen_and_does_not_pile_up(service: Service, before: str, after: str) -> None:
    (service.folder / "hangs").touch()
    service.start(before + START + "work.record_ok()\n" + after)
    eventually(lambda: work(service)("stalled"))
    health = service.health()
    assert health["details"]["work"]["in_flight"] == 1
    assert health["details"]["progress"]["state"] == "passing"
    assert len(asked(service)) == 1
    (service.folder / "hangs").unlink()
    eventually(lambda: work(service)("passing"))


def test_what_was_never_recorded_is_not_refreshed(service: Service) -> None:
    service.start(START + "Indicator('other').record_ok()\n" + WAIT)
    eventually(lambda: service.health()["details"]["progress"]["state"] == "passing")
    time.sleep(1.5)
    assert asked(service) == []


def test_an_operation_that_records_nothing_is_not_run_again_and_again(service: Service) -> None:
    (service.folder / "silent").touch()
    service.start(START + "work.record_ok()\n" + WAIT)
    eventually(lambda: asked(service))
    time.sleep(1.5)
    assert len(asked(service)) <= 3


def test_a_master_refreshes_nothing_and_its_child_what_it_has_recorded_itself(service: Service) -> None:
    service.start(
        START
        + """
work.record_ok()
while not os.path.exists("asked"): time.sleep(0.01)
refresh.leave()
os.rename("asked", "before")
if (pid := os.fork()) == 0:
    work.record_ok()
print(os.getpid(), pid, flush=True)
"""
        + WAIT
    )
    eventually(lambda: len(asked(service)) > 3)
    assert service.process is not None
    assert {pid for pid, _ in asked(service)}.isdisjoint({str(service.process.pid)})


def test_a_worker_asks_at_once_what_its_master_was_offered(service: Service) -> None:
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
    eventually(lambda: len(asked(service)) > 2)
    # There is nothing to build on at first.
    assert [failing for _, failing in asked(service)[:3]] == ["True", "False", "False"]
    assert work(service)("passing")


def test_a_process_for_one_console_refreshes_nothing(service: Service) -> None:
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
    eventually(lambda: len(asked(service)) > 5)
    assert service.process is not None
    assert {pid for pid, _ in asked(service)} == {str(service.process.pid)}


def test_a_failure_is_looked_into_long_before_a_long_interval_is_over(service: Service) -> None:
    service.start(
        START.replace('"0.2"', '"600"').replace('"ttl": "3"', '"ttl": "600"')
        + "work.record_fail('OSError')\n"
        + WAIT
    )
    eventually(lambda: work(service)("passing"))
    assert [failing for _, failing in asked(service)] == ["True"]
