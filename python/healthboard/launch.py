"""The state of a program that `healthboard-run` has started: its name, its variables, its hooks."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping

# The directory of healthboard's `sitecustomize`. Python runs the first one on its path.
_SITE_DIRECTORY = os.path.join(os.path.dirname(__file__), "site")

# healthboard's variables, which have been removed from the environment. None without `healthboard-run`.
environment: dict[str, str] | None = None

# The options with which health has started, as environment variables.
started_with: dict[str, str] = {}

# Whether health has started, with an endpoint or a board.
has_started = False

# The socket on which systemd listens. oslo.service removes it from the environment.
_notify_socket: str | None = None

_service: str | None = None

# Removes healthboard's variables and path from the process's environment.
_clear_environment: Callable[[], object] | None = None

# Programs that run an application with a name of its own.
_SERVERS = (
    "daphne",
    "fastapi",
    "flask",
    "gunicorn",
    "hypercorn",
    "mod_wsgi-express",
    "pyuwsgi",
    "uvicorn",
    "uwsgi",
    "waitress-serve",
)

# Servers whose master reloads by executing itself again, with the environment it has at that time.
_SELF_EXECUTING_SERVERS = ("uwsgi", "pyuwsgi")

# An argument that names an application, such as `shop.wsgi:application` or `shop:make_app()`.
_APPLICATION = r"(?!unix:|fd:)[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(\(.*\))?"

# Words of an application's name that carry no information.
_EMPTY_WORDS = ("wsgi", "asgi")

# The application that the server runs, according to the server itself.
application: str | None = None


def begin(variables: dict[str, str], clear_environment: Callable[[], object]) -> None:
    """Install the hooks. `clear_environment` has removed `variables` from the environment."""
    global environment, _notify_socket, _service, _clear_environment
    _notify_socket = os.environ.get("NOTIFY_SOCKET")
    _service = variables.pop("HEALTHBOARD_SERVICE", None)
    environment, _clear_environment = variables, clear_environment
    if is_self_executing():
        restore_environment(os.environ)
    from . import by_itself, hooks

    disabled, _ = hooks.named(variables.get("HEALTHBOARD_DISABLED_HOOKS", ""))
    hooks.install(disabled)
    by_itself.prepare(variables)


def restore_environment(environ: MutableMapping[str, str]) -> None:
    """Restore healthboard's variables and path, for a server that reloads by executing itself again."""
    if environment is not None:
        environ.update(environment)
        if _service is not None:
            environ["HEALTHBOARD_SERVICE"] = _service
        prepend_site(environ)


@contextmanager
def restored_environment() -> Iterator[None]:
    """Give healthboard's variables and path to the programs that are executed in this block.

    They also get the options and the name of this process, and may have to inform systemd about the service.
    """
    restore_environment(os.environ)
    if environment is not None:
        os.environ.update(started_with)
    notifies = _notify_socket is not None and "NOTIFY_SOCKET" not in os.environ
    if _notify_socket is not None:
        os.environ["NOTIFY_SOCKET"] = _notify_socket
    try:
        yield
    finally:
        clear_environment()
        if notifies:
            del os.environ["NOTIFY_SOCKET"]


def clear_environment() -> None:
    """Remove healthboard's variables and path again, in a worker, which may start other programs."""
    if _clear_environment is not None:
        _clear_environment()


def prepend_site(environ: MutableMapping[str, str]) -> None:
    """Put healthboard's `sitecustomize` first on the Python path in this environment."""
    path = environ.get("PYTHONPATH")
    environ["PYTHONPATH"] = _SITE_DIRECTORY + os.pathsep + path if path else _SITE_DIRECTORY


def named() -> str | None:
    """Return the name that the operator has given with `healthboard-run --service`."""
    return _service


def service(prog: str | None = None) -> str:
    """Return the name that operators use for this program. `prog` is the name that it gives itself.

    It is the name of the program. An application that a server runs has the name that it gives itself, or
    else a name that is derived from its module: `shop.wsgi.api:application` becomes `shop-api`.
    """
    if _service:
        return _service
    program = _program()
    if program not in _SERVERS:
        return program
    if prog and prog not in (program, os.path.basename(sys.argv[0])):
        return prog
    return _name_of_application() or program


def is_self_executing() -> bool:
    """Tell whether this program executes itself again to reload."""
    # This is either the server itself, whose `sys.argv` is not set yet, or a script that becomes the server.
    programs = [os.readlink("/proc/self/exe"), *getattr(sys, "argv", [])[:1]]
    return any(os.path.basename(program).startswith(_SELF_EXECUTING_SERVERS) for program in programs)


def _program() -> str:
    """Return the name of the program, or of the package that `python -m` runs."""
    # The title of the process is not used, since services change it.
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__").replace(".", "-")
    name = os.path.basename(sys.argv[0]).removesuffix(".py")
    return "uwsgi" if "uwsgi" in sys.modules else name or "python"


def _name_of_application() -> str | None:
    import re

    from . import uwsgi

    found = uwsgi.application() if "uwsgi" in sys.modules else application
    if found is None:
        arguments = [argument for argument in sys.argv[1:] if re.fullmatch(_APPLICATION, argument)]
        found = arguments[0] if arguments else None
    if found is None:
        return None
    module = found.partition(":")[0]
    words = [word for word in re.split(r"[\W_]+", module) if word and word not in _EMPTY_WORDS]
    return "-".join(words) or module
