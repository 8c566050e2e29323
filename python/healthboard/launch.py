"""What `healthboard-run` has started: its name, its environment, and the hooks in it."""

from __future__ import annotations

import os
import sys

# Ours, taken out of the process's; None without `healthboard-run`.
environment: dict[str, str] | None = None

_service: str | None = None


def begin(variables: dict[str, str]) -> None:
    """Install the hooks."""
    global environment, _service
    _service = variables.pop("HEALTHBOARD_SERVICE", None)
    environment = variables
    from . import hooks

    hooks.install()


def service() -> str:
    """What operators call this program."""
    # Not the title of the process, which services change.
    return _service or os.path.basename(sys.argv[0])
