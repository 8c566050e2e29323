"""A plugin for pytest, which loads it automatically."""

from __future__ import annotations

import pytest

from . import Board


@pytest.fixture
def healthboard_board() -> Board:
    """A board of this test's own."""
    return Board()
