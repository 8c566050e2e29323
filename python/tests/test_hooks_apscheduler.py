"""The jobs of a real APScheduler."""

from __future__ import annotations

import pytest
from test_hooks import details

from conftest import Service, eventually

pytest.importorskip("apscheduler")

PROGRAM = """
import asyncio, os, sys, time
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.asyncio import AsyncIOScheduler
def tidy():
    if os.path.exists("broken"): raise RuntimeError("broken")
    while os.path.exists("hang"): time.sleep(0.1)
async def tidy_soon(): tidy()
scheduler = BackgroundScheduler()
"""

RUNS = "scheduler.add_job(tidy, 'interval', seconds=0.2)\nscheduler.start()\n"


@pytest.fixture
def quiet(service: Service) -> Service:
    service.environment |= {"HEALTHBOARD_FAILURE_WINDOW": "1", "HEALTHBOARD_REFRESH_INTERVAL": "0.5"}
    return service


@pytest.mark.parametrize(
    "runs",
    [
        RUNS + "sys.stdin.read()",
        """
async def main():
    scheduler = AsyncIOScheduler()
    scheduler.add_job(tidy_soon, 'interval', seconds=0.2, name="tidy")
    scheduler.start()
    await asyncio.to_thread(sys.stdin.read)
asyncio.run(main())
""",
    ],
    ids=["threads", "asyncio"],
)
def test_a_job_that_raises_is_a_failure_until_it_works(quiet: Service, runs: str) -> None:
    quiet.start(PROGRAM + runs, launch=True)
    # Three intervals are less than a minute.
    details(quiet, "job_tidy", state="passing", impact="degrading", ttl=60)
    (quiet.folder / "broken").touch()
    details(quiet, "job_tidy", state="failing", error="RuntimeError")
    assert quiet.health()["status"] == "DEGRADED"
    (quiet.folder / "broken").unlink()
    details(quiet, "job_tidy", state="passing")


def test_a_job_that_hangs_or_runs_no_more_is_seen(quiet: Service) -> None:
    quiet.environment["HEALTHBOARD_JOB_TIDY__TTL"] = "2"
    quiet.environment["HEALTHBOARD_JOB_TIDY__STALL_AFTER"] = "2"
    quiet.start(PROGRAM + RUNS + "sys.stdin.read()", launch=True)
    details(quiet, "job_tidy", state="passing")
    (quiet.folder / "hang").touch()
    details(quiet, "job_tidy", state="stalled")
    assert quiet.health()["status"] == "DEGRADED"
    (quiet.folder / "hang").unlink()
    details(quiet, "job_tidy", state="passing")


@pytest.mark.parametrize(
    "ends",
    ["scheduler.pause_job('x')", "scheduler.remove_job('x')", "scheduler.pause()", "scheduler.shutdown()"],
)
def test_a_job_that_is_ended_is_not_missed(quiet: Service, ends: str) -> None:
    quiet.environment["HEALTHBOARD_JOB_TIDY__TTL"] = "2"
    runs = RUNS.replace("=0.2", "=0.2, id='x'")
    # Longer than the ttl.
    program = f"time.sleep(1); {ends}; time.sleep(4); open('ended', 'w').close(); sys.stdin.read()"
    quiet.start(PROGRAM + runs + program, launch=True)
    details(quiet, "job_tidy", state="passing")
    eventually((quiet.folder / "ended").exists)
    assert quiet.health()["details"]["job_tidy"]["state"] == "passing"


def test_a_job_that_runs_once_has_no_indicator(quiet: Service) -> None:
    runs = "scheduler.add_job(tidy)\n" + RUNS.replace("=0.2", "=0.2, name='b'")
    quiet.start(PROGRAM + runs + "sys.stdin.read()", launch=True)
    details(quiet, "job_b", state="passing")
    assert "job_tidy" not in quiet.health()["details"]
