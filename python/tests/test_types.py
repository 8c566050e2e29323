"""The declared types match the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")


def check(module: str, *arguments: str, folder: Path) -> None:
    command = [sys.executable, "-m", module, *arguments]
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_stubs_match_the_extension_module(tmp_path: Path) -> None:
    pytest.importorskip("oslo_config")
    check("mypy.stubtest", "healthboard", folder=tmp_path)


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
