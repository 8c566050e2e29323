"""The declared types match the code."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import healthboard
import healthboard.middleware
import healthboard.testing

pytest.importorskip("mypy")


def check(module: str, *arguments: str, folder: Path) -> None:
    command = [sys.executable, "-m", module, *arguments]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_stubs_match_the_extension_module(tmp_path: Path) -> None:
    pytest.importorskip("oslo_config")
    check("mypy.stubtest", "healthboard", folder=tmp_path)


SETTINGS = "impact ttl failure_threshold failure_window stall_after slow_after refresh_interval"

# What other programs use, with its parameters. A name may be added; one that goes or changes breaks them.
PUBLIC = {
    healthboard: {
        "Indicator": f"name {SETTINGS}",
        "Indicator.begin": "self judge",
        "Indicator.begin_refresh": "self judge",
        "Indicator.failures": "self",
        "Indicator.name": None,
        "Indicator.policy": None,
        "Indicator.record_fail": "self failure code text",
        "Indicator.record_ok": "self",
        "Indicator.refresh_due": "self",
        "Indicator.set_capacity": "self operations",
        "Indicator.wrap": "self function judge",
        "Operation": "",
        "Operation.end": "self",
        "Operation.fail": "self failure code text",
        "Operation.ok": "self",
        "__version__": None,
        "drain": "",
        "goodbye": "",
        "healthcheck": "name errors impact ttl",
        "ready": "",
        "record_fail": "name failure code text",
        "record_ok": "name",
        "refresh": "name operation",
        "reloading": "",
        "start": "service options host environment",
    },
    healthboard.middleware: {
        "ASGI": "application",
        "ASGIHealthcheck": "application path",
        "WSGI": "application capacity",
        "WSGIHealthcheck": "application path",
    },
    healthboard.testing: {
        "Board": "service options",
        "Board.__getitem__": "self indicator",
        "Board.advance": "self seconds",
        "Board.health": "self",
        "Board.status": None,
    },
}


def test_the_public_names_stay() -> None:
    for module, names in PUBLIC.items():
        if hasattr(module, "__all__"):
            assert sorted(module.__all__) == sorted(name for name in names if "." not in name)
        for name, parameters in names.items():
            found = module
            for part in name.split("."):
                found = getattr(found, part)
            if parameters is not None:
                assert " ".join(inspect.signature(found).parameters) == parameters, name


def test_decorated_functions_keep_their_types(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(
        """
import healthboard
from healthboard import healthcheck

@healthcheck("database", errors=[OSError], impact="degrading", ttl=5)
def query(sql: str) -> int:
    return 1

@healthcheck("database")
async def wait() -> str:
    with healthcheck("block") as operation:
        operation.ok()
    return ""

async def use() -> tuple[int, str]:
    healthboard.record_fail("database", OSError, "5")
    return query("select"), await wait()

query(1)  # type: ignore[arg-type]
problems: list[str] = healthboard.start("svc", {"ttl": "5"})
"""
    )
    check("mypy", "--strict", "user.py", folder=tmp_path)
