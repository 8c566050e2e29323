"""uWSGI, which loads the application itself: from a module, from a file, or with Paste Deploy.

Where uWSGI looks for the application it finds one that records. With the first request the module has its own
application back, for code that wants to know its class.
"""

from __future__ import annotations

import functools

from ... import by_itself, executed, imports
from ...middleware import WSGI, requests
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# The prefix of the names that uWSGI gives to files that it executes as modules.
_FILES = "uwsgi_file_"

_is_installed = False

# Each application that uWSGI has found in a module, with the module's namespace, its name there and the
# original.
_replaced: list[tuple[WSGI, dict[str, Any], str, Any]] = []


class _Found(WSGI):
    """The wrapper of an application until its first request."""

    __slots__ = ()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        self.__class__ = WSGI  # type: ignore[assignment]
        for wrapped, namespace, name, application in _replaced:
            if wrapped is self and namespace.get(name) is self:
                namespace[name] = application
        return self(environ, start_response)


def install() -> None:
    global _is_installed
    _is_installed = True
    _patches.install()
    # Installed before uWSGI is detected, since it may execute the file before any import.
    executed.when_executed(_FILES, _wrap_in_file)


def uninstall() -> None:
    global _is_installed
    _is_installed = False
    executed.cancel(_FILES)
    _patches.uninstall()


def _hook(_uwsgi: ModuleType) -> None:
    from ... import uwsgi

    for module, name in uwsgi.modules():
        imports.when_imported(module, functools.partial(_wrap_in_module, name))
    if uwsgi.options("paste", "ini-paste", "ini-paste-logged"):
        imports.when_imported("paste.deploy", _hook_paste)


def _hook_paste(deploy: ModuleType) -> None:
    _patches.around(deploy, "loadapp", _make)


def _wrap_in_file(namespace: dict[str, Any]) -> None:
    from ... import uwsgi

    _wrap(namespace, uwsgi.callable_name())


def _wrap_in_module(name: str, module: ModuleType) -> None:
    _wrap(vars(module), name)


def _wrap(namespace: dict[str, Any], name: str) -> None:
    """Wrap an application, or, with a name such as "make()", the result of the function."""
    name, is_call, _ = name.partition("(")
    application = namespace.get(name)
    if not _is_installed or isinstance(application, WSGI):
        return
    if isinstance(application, dict):
        # There are several applications, by their mount points.
        namespace[name] = {path: _recorded(each) for path, each in application.items()}
    elif callable(application):
        found = _make(application) if is_call else _Found(application)
        namespace[name] = found
        if not is_call:
            _replaced.append((found, namespace, name, application))
    from ... import uwsgi

    by_itself.start()
    uwsgi.in_workers(_say_capacity)


def _make(make: Any) -> Any:
    @functools.wraps(make)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return _recorded(make(*args, **kwargs))

    return wrapper


def _recorded(application: Any) -> Any:
    # If it cannot be called, the server reports that.
    return WSGI(application) if callable(application) else application


def _say_capacity() -> None:
    from ... import uwsgi

    requests.set_capacity(uwsgi.cores())
    requests.say_capacity()


_patches = Patches({"uwsgi": _hook})
