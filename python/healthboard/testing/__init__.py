"""Health in tests: a board in memory, with a clock that the test moves.

    from healthboard.testing import Board

    board = Board()
    query()
    assert board["database"]["state"] == "passing"
    board.advance(301)
    assert board.status == "DEGRADED"

No file is made, no thread started, nothing listened on. With pytest there is a fixture `healthboard_board`,
with the package `fixtures` the class `healthboard.testing.fixtures.BoardFixture`.
"""

from __future__ import annotations

import json

from .. import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Board:
    """An empty board, on which everything is recorded that this process records until there is a newer one.

    `options` are those of `[healthcheck]`, such as `{"database.ttl": "60"}`. The first board's count for the
    whole process. `RuntimeError` if health has started in this process.
    """

    def __init__(self, service: str = "tests", options: dict[str, str] | None = None) -> None:
        self._board = _native.MemoryBoard(service, options or {})

    def advance(self, seconds: float) -> None:
        """Let time go by. What is recorded is some milliseconds older than it is, as with a real clock."""
        self._board.advance(seconds)

    def health(self) -> dict[str, Any]:
        """Return what a probe would get now."""
        return json.loads(self._board.report())  # type: ignore[no-any-return]

    @property
    def status(self) -> str:
        """The status of the service: `OK`, `DEGRADED` or `FAULT`."""
        return str(self.health()["status"])

    def __getitem__(self, indicator: str) -> dict[str, Any]:
        """Return what a probe would get about an indicator. `KeyError` if there is none."""
        return self.health()["details"][indicator]  # type: ignore[no-any-return]
