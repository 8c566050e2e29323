"""What `healthboard-run` has started: its name, its environment, and the hooks in it."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

# Puts our `sitecustomize` in front of everything: Python runs the first that it finds.
_SITE = os.path.join(os.path.dirname(__file__), "site")

# Ours, taken out of the process's; None without `healthboard-run`.
environment: dict[str, str] | None = None

_service: str | None = None

# How `begin` was told to take ours out of the environment.
_leave: Callable[[], object] | None = None

# Programs that run another one: its own name says more.
_SERVERS = ("uwsgi", "pyuwsgi", "gunicorn", "mod_wsgi-express")

# Those of them whose master executes itself again, with the environment that it has by then.
_RELOADED = ("uwsgi", "pyuwsgi")


def begin(variables: dict[str, str], leave: Callable[[], object]) -> None:
    """Install the hooks. The variables are ours, and `leave` has taken them out of the environment."""
    global environment, _service, _leave
    _service = variables.pop("HEALTHBOARD_SERVICE", None)
    environment, _leave = variables, leave
    if _is_reloaded():
        keep(os.environ)
    from . import hooks

    hooks.install()


def keep(environ: MutableMapping[str, str]) -> None:
    """Put ours back, for a server that reloads by executing itself again."""
    if environment is not None:
        environ.update(environment)
        if _service is not None:
            environ["HEALTHBOARD_SERVICE"] = _service
        lead(environ)


def forget() -> None:
    """Take ours out again, in a process of such a server that does its work and may start others."""
    if _leave is not None:
        _leave()


def lead(environ: MutableMapping[str, str]) -> None:
    """Have the program that is executed with this environment find our `sitecustomize`."""
    path = environ.get("PYTHONPATH")
    environ["PYTHONPATH"] = _SITE + os.pathsep + path if path else _SITE


def service(prog: str | None = None) -> str:
    """What operators call this program, which calls itself `prog`."""
    # Not the title of the process, which services change.
    program = os.path.basename(sys.argv[0])
    return _service or (prog if prog and program in _SERVERS else program)


def _is_reloaded() -> bool:
    # The program itself, which has no arguments for Python yet, or a script that becomes it.
    programs = [os.readlink("/proc/self/exe"), *getattr(sys, "argv", [])[:1]]
    return any(os.path.basename(program).startswith(_RELOADED) for program in programs)
