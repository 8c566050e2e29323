"""The moments in the life of a process that its libraries know, and the action at each.

A row names a module, a function in it, whether the action comes before or after the call, and the action.
`IMPORTED` is the end of the module's import. With `AROUND` the action returns the replacement of the
function. The functions of `OPTIONAL` rows exist only in some versions. A class that a module has imported
from elsewhere is left alone, so a row may name the place where another version has it.
"""

from __future__ import annotations

import functools

from ..patches import Patches
from . import actions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    _Row = tuple[str, str, str, Callable[..., object]]

BEFORE, AFTER, AROUND, IMPORTED = "before", "after", "around", "imported"
OPTIONAL = "before, optional"

# Modules that define eventlet's launchers: since 4.2, in 4.0 and 4.1, before 4.0.
_EVENTLET = (
    ("oslo_service.backend._eventlet.service", BEFORE),
    ("oslo_service.backend.eventlet.service", BEFORE),
    ("oslo_service.service", OPTIONAL),
)

TABLE: dict[str, tuple[_Row, ...]] = {
    # `os._exit` runs no exit handlers. Workers of oslo.service and cotyledon end with it.
    "os_exit": (("os", "_exit", BEFORE, actions.say_goodbye),),
    "oslo_config": (("oslo_config.cfg", "ConfigOpts.__call__", AFTER, actions.read_configuration),),
    "oslo_log": (
        ("oslo_log.log", "", IMPORTED, actions.defer_notices),
        ("oslo_log.log", "setup", AFTER, actions.log_notices),
    ),
    "oslo_service": (
        *((module, "Launcher.stop", when, actions.drain) for module, when in _EVENTLET),
        *((module, "ProcessLauncher.__init__", when, actions.watch) for module, when in _EVENTLET),
        *((module, "ProcessLauncher._handle_term", when, actions.drain) for module, when in _EVENTLET),
        # Workers are cotyledon's. Before 4.5 the master is, too.
        (
            "oslo_service.backend._threading.service",
            "ProcessLauncher._graceful_shutdown",
            OPTIONAL,
            actions.drain,
        ),
        ("oslo_service.systemd", "notify_once", AFTER, actions.ready),
        # A launcher of processes reloads in the middle of its loop, without a function of its own.
        *((module, "Launcher.restart", when, actions.launcher_reloads) for module, when in _EVENTLET),
        *((module, "Launcher.restart", AFTER, actions.launcher_has_reloaded) for module, _ in _EVENTLET[:2]),
    ),
    "cotyledon": (
        ("cotyledon._service_manager", "ServiceManager.__init__", BEFORE, actions.watch),
        ("cotyledon._service_manager", "ServiceManager._shutdown", BEFORE, actions.drain),
        ("cotyledon._service_worker", "ServiceWorker._service_terminate", BEFORE, actions.drain),
        (
            "cotyledon._service_manager",
            "ServiceManager._systemd_notify_once",
            AROUND,
            actions.ready_after_static_method,
        ),
        ("cotyledon._service_manager", "ServiceManager._reload", BEFORE, actions.reloading),
        ("cotyledon._service_manager", "ServiceManager._reload", AFTER, actions.ready),
        # Before 2.1 a worker terminates here.
        ("cotyledon._service", "Service._terminate", OPTIONAL, actions.drain),
    ),
    "gunicorn": (
        ("gunicorn.arbiter", "Arbiter.run", BEFORE, actions.watch_gunicorn),
        ("gunicorn.arbiter", "Arbiter.start", AFTER, actions.ready),
        ("gunicorn.arbiter", "Arbiter.reload", BEFORE, actions.reloading),
        ("gunicorn.arbiter", "Arbiter.reload", AFTER, actions.ready),
        ("gunicorn.arbiter", "Arbiter.stop", BEFORE, actions.drain),
        ("gunicorn.arbiter", "Arbiter.reexec", BEFORE, actions.restore_gunicorn_environment),
        # With `preload`, the master has loaded the application and started health.
        ("gunicorn.workers.base", "Worker.init_process", BEFORE, actions.prepare_gunicorn_worker),
        # Without, health starts when the worker loads the application.
        ("gunicorn.workers.base", "Worker.load_wsgi", AFTER, actions.attach),
        ("gunicorn.workers.gasgi", "ASGIWorker.load_wsgi", AFTER, actions.attach),
    ),
    "uvicorn": (
        ("uvicorn.supervisors.basereload", "BaseReload.run", BEFORE, actions.watch),
        ("uvicorn.supervisors.multiprocess", "Multiprocess.run", BEFORE, actions.watch),
        ("uvicorn.config", "Config.load", AFTER, actions.attach),
        ("uvicorn.server", "Server._log_started_message", AFTER, actions.ready),
        ("uvicorn.server", "Server.handle_exit", BEFORE, actions.drain),
    ),
    "hypercorn": (
        ("hypercorn.run", "run", BEFORE, actions.watch_hypercorn),
        ("hypercorn.app_wrappers", "ASGIWrapper.__init__", AFTER, actions.attach),
        ("hypercorn.app_wrappers", "WSGIWrapper.__init__", AFTER, actions.attach),
    ),
    "daphne": (
        ("daphne.server", "Server.run", BEFORE, actions.attach),
        ("daphne.server", "Server.listen_success", AFTER, actions.ready),
    ),
    "celery": (
        # This is before it forks its pool. It consumes the messages, so it is not merely a master.
        ("celery.worker.worker", "WorkController.start", BEFORE, actions.attach),
        ("celery.worker.worker", "WorkController.stop", BEFORE, actions.drain),
        ("celery.apps.beat", "Beat.run", BEFORE, actions.attach),
        ("billiard.process", "BaseProcess._bootstrap", BEFORE, actions.attach_child),
        ("billiard.pool", "Worker._do_exit", BEFORE, actions.say_goodbye_of_pool),
    ),
    "multiprocessing": (
        ("multiprocessing.process", "BaseProcess._bootstrap", BEFORE, actions.attach_child),
        ("multiprocessing.util", "spawnv_passfds", AROUND, actions.hook_spawned_process),
        ("billiard.popen_spawn_posix", "spawnv_passfds", AROUND, actions.hook_spawned_process),
    ),
    "signal": (("signal", "signal", AFTER, actions.watch_signals),),
    # A proxy of consoles has a process for each open console, and there may be thousands.
    "websockify": (
        ("websockify.websocketproxy", "WebSocketProxy.started", AFTER, actions.ready),
        (
            "websockify.websockifyserver",
            "WebSockifyServer.top_new_client",
            BEFORE,
            actions.stop_refreshing,
        ),
    ),
}


def patches(name: str) -> Patches:
    """Return the hook of this name."""
    modules: dict[str, list[_Row]] = {}
    for row in TABLE[name]:
        modules.setdefault(row[0], []).append(row)
    made = Patches({module: functools.partial(_hook, name, rows) for module, rows in modules.items()})
    return _made.setdefault(name, made)


_made: dict[str, Patches] = {}


def _hook(name: str, rows: list[_Row], module: ModuleType) -> None:
    for _, path, moment, action in rows:
        if moment == IMPORTED:
            action()
        elif moment == AFTER:
            _made[name].after(module, path, action)
        elif moment == AROUND:
            _made[name].around(module, path, action)
        else:
            _made[name].before(module, path, action, optional=moment == OPTIONAL)
