"""`healthboard.testing`: a board in memory for the tests of those who use the package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Service

# The tests of a user: each has a board of its own, and the decorated function knows nothing of that.
TESTS = """
import os, threading
import pytest
import healthboard
from healthboard import healthcheck

@healthcheck("database", errors=[OSError], ttl=60)
def query(fails=False):
    if fails: raise OSError(5, "five")

@pytest.mark.parametrize("turn", range(3))
def test_evidence(healthboard_board, turn):
    assert "database" not in healthboard_board.health()["details"] or (
        healthboard_board["database"]["state"] == "unknown")
    query()
    assert healthboard_board["database"]["state"] == "passing"
    healthboard_board.advance(59)
    assert healthboard_board.status == "OK"
    healthboard_board.advance(2)
    assert (healthboard_board.status, healthboard_board["database"]["state"]) == ("DEGRADED", "stale")

def test_failures(healthboard_board):
    for _ in range(2):
        with pytest.raises(OSError): query(fails=True)
        healthboard_board.advance(10)
    assert healthboard_board.status == "FAULT"
    assert healthboard_board["database"]["error"] == "OSError 5"

def test_an_operation_in_flight_belongs_to_its_board():
    from healthboard.testing import Board
    board = Board()
    operation = healthboard.Indicator("slow").begin()
    board.advance(61)
    assert board["slow"]["state"] == "stalled"
    board = Board()
    operation.ok()
    assert board["slow"]["state"] == "unknown"

def test_bad_input(healthboard_board):
    with pytest.raises(ValueError, match="seconds"): healthboard_board.advance(-1)

def test_nothing_is_started(healthboard_board):
    query()
    assert threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 1
"""


def test_each_test_has_a_board_of_its_own_and_time_goes_by_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "test_user.py"]
    answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "7 passed" in answer.stdout


def test_a_fixture_of_the_package_fixtures_has_a_board(service: Service) -> None:
    pytest.importorskip("fixtures")
    service.run(
        """
import healthboard
from healthboard.testing.fixtures import BoardFixture
with BoardFixture() as fixture:
    healthboard.record_fail("work", OSError)
    assert fixture.board.status == "DEGRADED"
with BoardFixture() as fixture:
    assert fixture.board.status == "OK"
"""
    )


def test_a_process_in_which_health_has_started_is_left_alone(service: Service) -> None:
    output = service.run(
        """
import healthboard
from healthboard.testing import Board
healthboard.start("svc")
try: Board()
except RuntimeError as error: print(error)
"""
    )
    assert output == "health has started in this process, which a board in memory cannot replace\n"
