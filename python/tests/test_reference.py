"""docs/options.md says what the code does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from healthboard import Indicator

pytest.importorskip("oslo_config")

import reference

from healthboard.oslo import opts


def test_the_reference_is_that_of_the_code() -> None:
    assert reference.PAGE.read_text() == reference.page(), f"next: {reference.COMMAND}"


def test_the_defaults_of_the_options_are_those_of_an_indicator() -> None:
    defaults = Indicator("default").policy
    assert {option.name: option.default for option in opts.POLICY_OPTIONS} | {
        "impact": "critical"
    } == defaults


def test_progress_is_as_the_reference_says(evidence: Callable[[str], dict[str, Any]]) -> None:
    _, impact, ttl, *_ = reference.PROGRESS
    assert (evidence("progress")["impact"], f"{evidence('progress')['ttl']:g}") == (impact, ttl)
