"""The state of a program that `healthboard-run` started: its name, our environment variables, the hooks."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

# Holds our `sitecustomize`. Python runs the first one on its path.
_SITE_DIRECTORY = os.path.join(os.path.dirname(__file__), "site")

# Our variables, which have been removed from the process's environment. None without `healthboard-run`.
environment: dict[str, str] | None = None

_service: str | None = None

# Removes our variables and path from the process's environment.
_clear_environment: Callable[[], object] | None = None

# Programs that run another program. The name that the other one gives itself is more useful.
_SERVERS = ("uwsgi", "pyuwsgi", "gunicorn", "mod_wsgi-express")

# Servers whose master reloads by executing itself again, with the environment it has at that time.
_SELF_EXECUTING_SERVERS = ("uwsgi", "pyuwsgi")


def begin(variables: dict[str, str], clear_environment: Callable[[], object]) -> None:
    """Install the hooks. `variables` are ours, which `clear_environment` has removed from the environment."""
    global environment, _service, _clear_environment
    _service = variables.pop("HEALTHBOARD_SERVICE", None)
    environment, _clear_environment = variables, clear_environment
    if _is_self_executing():
        restore_environment(os.environ)
    from . import hooks

    disabled, _ = hooks.named(variables.get("HEALTHBOARD_DISABLED_HOOKS", ""))
    hooks.install(disabled)


def restore_environment(environ: MutableMapping[str, str]) -> None:
    """Put our variables and path back, for a server that reloads by executing itself again."""
    if environment is not None:
        environ.update(environment)
        if _service is not None:
            environ["HEALTHBOARD_SERVICE"] = _service
        prepend_site(environ)


def clear_environment() -> None:
    """Remove our variables and path again, in a worker of such a server: it may start other programs."""
    if _clear_environment is not None:
        _clear_environment()


def prepend_site(environ: MutableMapping[str, str]) -> None:
    """Put our `sitecustomize` first on the Python path of a program executed with this environment."""
    path = environ.get("PYTHONPATH")
    environ["PYTHONPATH"] = _SITE_DIRECTORY + os.pathsep + path if path else _SITE_DIRECTORY


def service(prog: str | None = None) -> str:
    """Return the name that operators use for this program. `prog` is the name it gives itself."""
    # Not the title of the process: services change that.
    program = os.path.basename(sys.argv[0])
    return _service or (prog if prog and program in _SERVERS else program)


def _is_self_executing() -> bool:
    # Either the server itself, whose `sys.argv` is not set yet, or a script that becomes the server.
    programs = [os.readlink("/proc/self/exe"), *getattr(sys, "argv", [])[:1]]
    return any(os.path.basename(program).startswith(_SELF_EXECUTING_SERVERS) for program in programs)
