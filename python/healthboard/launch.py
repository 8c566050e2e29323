"""What `healthboard-run` has started: its name, its environment, and the hooks in it."""

from __future__ import annotations

import os
import sys

# Ours, taken out of the process's; None without `healthboard-run`.
environment: dict[str, str] | None = None

_service: str | None = None

# Programs that run another one: its own name says more.
_SERVERS = ("uwsgi", "gunicorn", "mod_wsgi-express")


def begin(variables: dict[str, str]) -> None:
    """Install the hooks."""
    global environment, _service
    _service = variables.pop("HEALTHBOARD_SERVICE", None)
    environment = variables
    from . import hooks

    hooks.install()


def service(prog: str | None = None) -> str:
    """What operators call this program, which calls itself `prog`."""
    # Not the title of the process, which services change.
    program = os.path.basename(sys.argv[0])
    return _service or (prog if prog and program in _SERVERS else program)
