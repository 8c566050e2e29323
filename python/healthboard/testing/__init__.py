"""Health in tests: a board in memory, with a clock that the test moves.

    from healthboard.testing import Board

    board = Board()
    query()
    assert board["database"]["state"] == "passing"
    board.advance(301)
    assert board.status == "DEGRADED"

It makes no file, starts no thread and opens no endpoint. For pytest there is a fixture `healthboard_board`,
and for the package `fixtures` there is the class `healthboard.testing.fixtures.BoardFixture`.
"""

from __future__ import annotations

import json

from .. import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Board:
    """An empty board, to which this process records until a newer board is made.

    `options` are those of `[healthcheck]`, such as `{"database.ttl": "60"}`. Those of the first board apply
    to the whole process. Raises `RuntimeError` if health has started in this process.
    """

    def __init__(self, service: str = "tests", options: dict[str, str] | None = None) -> None:
        self._board = _native.MemoryBoard(service, options or {})

    def advance(self, seconds: float) -> None:
        """Move the clock forward. As with a real clock, outcomes may appear some milliseconds too old."""
        self._board.advance(seconds)

    def health(self) -> dict[str, Any]:
        """Return the answer that a probe would get now."""
        return json.loads(self._board.report())  # type: ignore[no-any-return]

    @property
    def status(self) -> str:
        """The status of the service: `OK`, `DEGRADED` or `FAULT`."""
        return str(self.health()["status"])

    def __getitem__(self, indicator: str) -> dict[str, Any]:
        """Return the part of the answer about an indicator. Raises `KeyError` if there is none."""
        return self.health()["details"][indicator]  # type: ignore[no-any-return]
