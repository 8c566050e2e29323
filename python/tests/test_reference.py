"""docs/options.md agrees with the code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from healthboard import Indicator

pytest.importorskip("oslo_config")

import reference

from healthboard.oslo import opts


def test_the_reference_is_up_to_date() -> None:
    assert reference.PAGE.read_text() == reference.page(), f"to regenerate the page, run {reference.COMMAND}"


def test_options_and_indicators_have_the_same_defaults() -> None:
    defaults = Indicator("default").policy
    assert {option.name: option.default for option in opts.POLICY_OPTIONS} | {
        "impact": "critical"
    } == defaults


def test_progress_has_the_policy_in_the_reference(evidence: Callable[[str], dict[str, Any]]) -> None:
    _, impact, ttl, *_ = reference.PROGRESS
    assert (evidence("progress")["impact"], f"{evidence('progress')['ttl']:g}") == (impact, ttl)
