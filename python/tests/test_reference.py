"""docs/options.md agrees with the code."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from healthboard import Indicator

pytest.importorskip("oslo_config")

import reference

import healthboard
from healthboard.hooks.evidence import keystoneauth1
from healthboard.indicators import KNOWN
from healthboard.oslo import opts


def test_the_reference_is_up_to_date() -> None:
    # In a process of its own: it creates every indicator, and a board has room for 31.
    code = "import reference; print(reference.page(), end='')"
    folder = Path(reference.__file__).parent
    page = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True
    )
    assert reference.PAGE.read_text() == page.stdout, f"to regenerate the page, run {reference.COMMAND}"


def test_options_and_indicators_have_the_same_defaults() -> None:
    defaults = Indicator("default").policy
    assert {option.name: option.default for option in opts.POLICY_OPTIONS} | {
        "impact": "critical"
    } == defaults


def test_progress_has_the_policy_in_the_reference(evidence: Callable[[str], dict[str, Any]]) -> None:
    _, impact, ttl, *_ = reference.PROGRESS
    assert (evidence("progress")["impact"], f"{evidence('progress')['ttl']:g}") == (impact, ttl)


def test_every_indicator_of_the_hooks_is_known() -> None:
    assert {*_literals(), *keystoneauth1.INDICATORS.values()} <= KNOWN.keys()


def _literals() -> Iterator[str]:
    """Find the names that the package's own calls of `Indicator` have."""
    for file in Path(healthboard.__file__).parent.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text())):
            is_indicator = isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Indicator"
            if isinstance(call, ast.Call) and is_indicator and isinstance(call.args[0], ast.Constant):
                yield str(call.args[0].value)


@pytest.mark.parametrize("name", KNOWN)
def test_the_validator_accepts_the_group_of_each_indicator(tmp_path: Path, name: str) -> None:
    output = _validate(tmp_path, f"[healthcheck:{name}]\nttl = 60\nimpact = degrading\n")
    assert output.returncode == 0, output.stderr


def test_the_validator_rejects_a_misspelled_option_and_indicator(tmp_path: Path) -> None:
    for text in ("[healthcheck:message_bus]\nttk = 60\n", "[healthcheck:mesage_bus]\nttl = 60\n"):
        assert _validate(tmp_path, text).returncode != 0, text


def _validate(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "service.conf").write_text(text)
    command = [sys.executable, "-m", "oslo_config.validator", "--namespace", "healthboard"]
    command += ["--input-file", str(folder / "service.conf")]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
