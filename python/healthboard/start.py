"""Starting health."""

from __future__ import annotations

import os
import sys

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType


def start(
    service: str,
    options: Mapping[str, str] | None = None,
    *,
    host: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """Start health for this process and all processes that it forks, if `options` name an endpoint.

    `options` are those of the group `[healthcheck]`, as text; "database.ttl" is `ttl` in
    `[healthcheck:database]`. Variables `HEALTHBOARD_…` in `environment`, by default the process's own,
    override them. `host` replaces `{host}` in `uri`.

    Refused values are ignored, and an endpoint that cannot be opened is tried again. The returned list has
    one message for each: the option or the address, what was found, and what was expected. The messages are
    logged as well. Only the first call that names an endpoint has an effect; a later one with other options
    returns that.
    Under `healthboard-run`, its `--service` and the variables `HEALTHBOARD_…` override what the program says.
    """
    # Imported only here, since a library that records may run in a program without health. All that a worker
    # needs is loaded now: the package may be removed.
    from . import by_itself, launch, monkey_patch, notices, progress  # noqa: F401

    if environment is None:
        # `healthboard-run` has removed the variables from the process's environment.
        environment = os.environ if launch.environment is None else launch.environment
    by_itself.started()
    service = launch.named() or service
    uwsgi = _uwsgi()
    is_worker = uwsgi is None or not uwsgi.serves_no_requests()
    if is_worker:
        launch.clear_environment()
    texts = {name: str(value) for name, value in (options or {}).items()}
    variables = {name: value for name, value in environment.items() if name.startswith("HEALTHBOARD_")}
    disabled = texts.pop("disabled_hooks", ""), variables.pop("HEALTHBOARD_DISABLED_HOOKS", None)
    # A misspelled option has no value.
    starting_with = {_variable(name): value for name, value in texts.items() if value} | variables
    starting_with["HEALTHBOARD_SERVICE"] = service
    if launch.has_started:
        if starting_with == launch.started_with:
            return []
        name = launch.started_with["HEALTHBOARD_SERVICE"]
        problem = f"health has started already, as `{name}`: a start with other options has no effect"
        notices.warn_once(problem, problem)
        return [problem]
    launch.started_with = starting_with
    if uwsgi is not None or "mod_wsgi" in sys.modules:
        _native.served()
    # Set before the first board is made, so that a process with a board always has the handlers.
    _native.watch_signals()
    refused, launch.has_started = _native.start(service, host, texts, variables, progress.start, is_worker)
    if launch.has_started and launch.environment is None:
        _hook_exit()
    problems = refused + _disable_hooks(*disabled)
    if uwsgi is not None:
        uwsgi.drain_at_exit()
        if not is_worker:
            uwsgi.attach_in_workers()
    for problem in problems:
        notices.warn_once(problem, problem)
    if launch.has_started:
        _name_other_installations()
    return problems


def ready() -> None:
    """Announce that the service has started, or reloaded, and works.

    systemd is told so once an endpoint answers.
    """
    from . import by_itself

    by_itself.start()
    _native.ready()


def _hook_exit() -> None:
    """Notice that a forked process ends in order by `os._exit`. `healthboard-run` has installed all hooks."""
    from . import notices

    with notices.suppress_errors("hook for os"):
        from .hooks import processes

        processes.patches("os_exit").install()


def _disable_hooks(option: str, variable: str | None) -> list[str]:
    """Uninstall these hooks. Return a message for each unknown name."""
    text = option if variable is None else variable
    if not text:
        return []
    from . import hooks

    disabled, unknown = hooks.named(text)
    hooks.uninstall(disabled)
    option = "`disabled_hooks` in [healthcheck]" if variable is None else "HEALTHBOARD_DISABLED_HOOKS"
    expected = f"expected names of hooks: {', '.join(sorted(hooks.names()))}"
    return [f"option {option}: found `{_native.scrub(name)}`, {expected}" for name in unknown]


def _name_other_installations() -> None:
    """Log once that there is another healthboard on the path, such as that of a distribution beside pip's."""
    from . import notices

    used = os.path.dirname(os.path.abspath(__file__))
    with notices.suppress_errors("other installations"):
        for entry in sys.path:
            other = os.path.join(os.path.abspath(entry), __package__)
            if os.path.isfile(os.path.join(other, "__init__.py")) and not os.path.samefile(other, used):
                text = f"healthboard is installed twice: `{used}` is used, and `{other}` is not"
                notices.warn_once("installed twice", f"{text}; remove one of them")


def _variable(option: str) -> str:
    return "HEALTHBOARD_" + option.replace(".", "__").upper()


def _uwsgi() -> ModuleType | None:
    """Return the module for uWSGI, if this process is uWSGI's. Other processes need not import it."""
    if "uwsgi" not in sys.modules:
        return None
    from . import uwsgi

    return uwsgi
