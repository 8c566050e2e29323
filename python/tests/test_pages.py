"""The Python code on the pages runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/python.md", "python/README.md"]
CODE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in PAGES
    for number, block in enumerate(CODE.findall((ROOT / page).read_text()))
]


def test_each_page_has_code() -> None:
    assert len(BLOCKS) >= len(PAGES)


@pytest.mark.parametrize("code", BLOCKS)
def test_the_code_runs(code: str, tmp_path: Path) -> None:
    # The pages name addresses of their own, which may be taken here.
    code = re.sub(r"tcp://127\.0\.0\.1:\d+", "tcp://127.0.0.1:0", code)
    code = code.replace("unix:///run/my-service/", f"unix://{tmp_path}/")
    code += "\nif 'test_health' in globals(): test_health()\n"
    environment = {"HEALTHBOARD_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize(
    ("program", "is_there"),
    [
        ("healthboard.start('svc', {'uri': 'board'}); healthboard.record_ok('work')", True),
        ("healthboard.start('svc', {'uri': 'board'}); healthboard.drain()", True),
        # Health is off.
        ("pass", False),
    ],
)
def test_the_command_finds_whether_the_backend_is_there(program: str, is_there: bool, tmp_path: Path) -> None:
    page = (ROOT / "docs/healthcheck.md").read_text()
    command = re.findall(r"^curl .*/healthcheck \| (grep .*)$", page, re.MULTILINE)
    assert len(command) == 1
    program = (
        f"import healthboard; {program}; from healthboard.verdict import verdict; print(verdict().reason)"
    )
    ran = subprocess.run(
        f'{sys.executable} -c "{program}" > answer && {command[0]} answer',
        shell=True,
        cwd=tmp_path,
        env={"HEALTHBOARD_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    answer = (tmp_path / "answer").read_text()
    assert answer.startswith("healthboard: ")
    assert (ran.returncode, ran.stdout) == ((0, answer) if is_there else (1, "")), ran.stderr
