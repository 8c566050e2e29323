"""Servers of WSGI applications that take the application as an argument: gunicorn, waitress and others.

uWSGI loads the application itself, see `uwsgi`.
"""

from __future__ import annotations

import functools

from ... import notices
from ...middleware import WSGI, requests
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

    # A module, a function in it, the parameter for the application, and a function that derives from the
    # arguments how many requests the server serves at once.
    _Row = tuple[str, str, str, Callable[[dict[str, Any]], int | None] | None]


def _pool_of_eventlet(arguments: dict[str, Any]) -> int | None:
    pool = arguments.get("custom_pool")
    default = getattr(_modules["eventlet.wsgi"], "DEFAULT_MAX_SIMULTANEOUS_REQUESTS", None)
    return getattr(pool, "size", None) or arguments.get("max_size") or default


_TABLE: tuple[_Row, ...] = (
    ("wsgiref.handlers", "BaseHandler.run", "application", None),
    ("werkzeug.serving", "BaseWSGIServer.__init__", "app", None),
    ("waitress.server", "create_server", "application", lambda arguments: arguments.get("threads", 4)),
    ("cheroot.wsgi", "Server.__init__", "wsgi_app", None),
    ("gevent.pywsgi", "WSGIServer.__init__", "application", None),
    ("tornado.wsgi", "WSGIContainer.__init__", "wsgi_application", None),
    ("hypercorn.app_wrappers", "WSGIWrapper.__init__", "app", None),
    ("eventlet.wsgi", "server", "site", _pool_of_eventlet),
)

# The modules that have been imported.
_modules: dict[str, ModuleType] = {}


def _hook(module: ModuleType) -> None:
    _modules[module.__name__] = module
    for name, path, parameter, capacity in _TABLE:
        if name == module.__name__:
            _patches.around(module, path, functools.partial(_wrap_argument, parameter, capacity))


def _wrap_argument(
    parameter: str, capacity: Callable[[dict[str, Any]], int | None] | None, serve: Any
) -> Any:
    original = serve
    while hasattr(original, "__wrapped__"):
        original = original.__wrapped__
    code = original.__code__
    names = code.co_varnames[: code.co_argcount]
    position = names.index(parameter)

    @functools.wraps(serve)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with notices.suppress_errors(f"hook for {serve.__module__}"):
            if capacity is not None:
                most = capacity(dict(zip(names, args, strict=False)) | kwargs)
                if most:
                    requests.set_capacity(most)
            if callable(kwargs.get(parameter)):
                kwargs = {**kwargs, parameter: _recorded(kwargs[parameter])}
            elif position < len(args) and callable(args[position]):
                args = (*args[:position], _recorded(args[position]), *args[position + 1 :])
        return serve(*args, **kwargs)

    return wrapper


def _recorded(application: Any) -> Any:
    return application if type(application) is WSGI else WSGI(application)


def _hook_gunicorn(base: ModuleType) -> None:
    _patches.after(base, "Worker.load_wsgi", _wrap_application_of_gunicorn)


def _wrap_application_of_gunicorn(_result: Any, worker: Any, *_args: Any, **_kwargs: Any) -> None:
    from inspect import iscoroutinefunction

    application = getattr(worker, "wsgi", None)
    if (
        not callable(application)
        or iscoroutinefunction(application)
        or iscoroutinefunction(application.__call__)
    ):
        # A worker class for ASGI, whose server has a hook of its own.
        return
    worker.wsgi = _recorded(application)
    capacity = _capacity_of_gunicorn(worker)
    if capacity is not None:
        requests.set_capacity(capacity)
        requests.say_capacity()


def _capacity_of_gunicorn(worker: Any) -> int | None:
    modules = {kind.__module__.rpartition(".")[2] for kind in type(worker).__mro__}
    if "sync" in modules:
        return 1
    if "gthread" in modules:
        return int(worker.cfg.threads)
    # A pool of green threads.
    return int(worker.cfg.worker_connections) if modules & {"ggevent", "geventlet"} else None


_patches = Patches({**{name: _hook for name, *_ in _TABLE}, "gunicorn.workers.base": _hook_gunicorn})
install, uninstall = _patches.install, _patches.uninstall
