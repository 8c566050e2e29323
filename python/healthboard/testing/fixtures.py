"""A fixture for the package `fixtures`, as tests of OpenStack use it."""

from __future__ import annotations

import fixtures

from . import Board


class BoardFixture(fixtures.Fixture):  # type: ignore[misc, unused-ignore]
    """A board of this test's own, as the attribute `board`."""

    board: Board

    def _setUp(self) -> None:  # noqa: N802 - the name is theirs
        self.board = Board()
