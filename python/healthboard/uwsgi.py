"""uWSGI: its master imports the program and runs no Python afterwards. Its workers are forked in C."""

from __future__ import annotations

import os
import sys

from . import _native, imports, launch, notices, progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

# The name of the application if no option of uWSGI sets it.
_DEFAULT_CALLABLE = "application"

# Functions that each worker calls first.
_first_actions: list[Callable[[], object]] = []


def serves_no_requests() -> bool:
    """Tell whether this process is uWSGI's, but not a worker: the master, a spooler, a mule."""
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is not None and uwsgi.worker_id() == 0


def attach_in_workers() -> None:
    """Attach in each worker after its fork: it may record nothing for hours."""
    in_workers(progress.attach)


def in_workers(action: Callable[[], object]) -> None:
    """Call `action` first in each worker, now if this is one."""
    if not serves_no_requests():
        action()
        return
    if action in _first_actions:
        return
    if not _first_actions:
        _add_post_fork_hook(sys.modules["uwsgi"])
        # `uwsgidecorators` replaces the hook by its own.
        imports.when_imported("uwsgidecorators", lambda _: _add_post_fork_hook(sys.modules["uwsgi"]))
    _first_actions.append(action)


def drain_at_exit() -> None:
    """Make a worker say that it drains before its interpreter ends, since that may never complete.

    uWSGI ends a worker in a handler of SIGTERM, in whichever thread gets the signal. That thread then waits
    for all threads of Python. If it is one of them, it waits without end, while the main thread continues to
    serve.
    """
    _native.drain_first_at_exit()
    uwsgi = sys.modules["uwsgi"]
    previous = getattr(uwsgi, "atexit", None)

    def drain() -> None:
        _native.drain_as_it_exits()
        if previous is not None:
            previous()

    uwsgi.atexit = drain  # type: ignore[attr-defined]


def options(*names: str) -> list[str]:
    """Return the values of an option of uWSGI that has these names."""
    given = sys.modules["uwsgi"].opt
    values = [value for name in names for value in _as_list(given.get(name))]
    return [value.decode(errors="replace") for value in values if isinstance(value, bytes)]


def callable_name() -> str:
    """Return the name of the application in a file, and in a module whose option does not name it."""
    return next(iter(options("callable")), _DEFAULT_CALLABLE)


def modules() -> list[tuple[str, str]]:
    """Return the modules that uWSGI loads applications from, each with the name of the application."""
    given = [*options("module", "wsgi"), *(value for value in _mounted() if not _is_file(value))]
    found = [value.partition(":") for value in given]
    return [(module, name or callable_name()) for module, _, name in found]


def application() -> str | None:
    """Return the module or the file that uWSGI loads the application from. A file has no suffix here."""
    files = [*options("wsgi-file", "file"), *(value for value in _mounted() if _is_file(value))]
    names = [os.path.splitext(os.path.basename(file))[0] for file in files]
    return next(iter([*(module for module, _ in modules()), *names]), None)


def cores() -> int:
    """Return how many requests a worker serves at once, in threads or green threads."""
    return int(sys.modules["uwsgi"].cores)


def _is_file(application: str) -> bool:
    return "/" in application or application.endswith((".py", ".wsgi"))


def _mounted() -> list[str]:
    return [value.partition("=")[2] for value in options("mount")]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _add_post_fork_hook(uwsgi: Any) -> None:
    previous = getattr(uwsgi, "post_fork_hook", None)

    def post_fork_hook() -> None:
        with notices.suppress_errors("uWSGI worker"):
            _native.forked_in_c()
            launch.clear_environment()
            # A spooler or a mule may be idle, and is killed by a reload.
            if not serves_no_requests():
                for action in _first_actions:
                    action()
        if previous is not None:
            previous()

    uwsgi.post_fork_hook = post_fork_hook
