"""The actions at moments in the life of a process.

Each function takes the arguments of the hooked function.
"""

from __future__ import annotations

import contextlib
import functools

from ... import _native, by_itself, launch, notices, progress, refresher
from ..patches import call_after, call_before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# SIGINT, SIGQUIT and SIGTERM. The module `signal` must not be imported here before the service imports it.
_ENDING_SIGNALS = (2, 3, 15)

# What a process of Celery's pool exits with when it has done its number of tasks.
_BILLIARD_RECYCLE = 0x9B


def drain(*_args: Any, **_kwargs: Any) -> None:
    """Say that the process begins to end."""
    _native.begin_to_end()


def ready(*_args: Any, **_kwargs: Any) -> None:
    """Say that the service works. Libraries that tell systemd themselves have done so by now."""
    by_itself.start()
    _native.ready()


def ready_after_static_method(method: Any) -> Any:
    """Wrap a static method, after which the service works."""
    return staticmethod(call_after(method, ready))


def reloading(*_args: Any, **_kwargs: Any) -> None:
    """Say that the service is reloading its configuration."""
    _native.reloading()


def launcher_reloads(launcher: Any) -> None:
    """Say that a launcher of oslo.service is reloading, unless it is that of a worker."""
    if type(launcher).__name__ == "ServiceLauncher":
        _native.reloading()


def launcher_has_reloaded(_result: Any, launcher: Any) -> None:
    """Say that a launcher of oslo.service works again."""
    if type(launcher).__name__ == "ServiceLauncher":
        _native.ready()


def watch(*_args: Any, **_kwargs: Any) -> None:
    """Say that the process is a master, which refreshes nothing: a child must not inherit a held lock."""
    by_itself.start()
    refresher.stop()
    _native.watch()


def watch_gunicorn(arbiter: Any, *_args: Any, **_kwargs: Any) -> None:
    """Say that the process is gunicorn's master, and which application its workers run."""
    launch.application = getattr(arbiter.app, "app_uri", None)
    watch()


def watch_hypercorn(config: Any, *_args: Any, **_kwargs: Any) -> None:
    """Say that the process is hypercorn's master, unless it serves by itself."""
    if config.workers:
        watch()


def stop_refreshing(*_args: Any, **_kwargs: Any) -> None:
    """Refresh nothing more in this process."""
    refresher.stop()


def attach(*_args: Any, **_kwargs: Any) -> None:
    """Give a worker its board now: it may record nothing for hours."""
    by_itself.start()
    progress.attach()


def attach_child(*_args: Any, **_kwargs: Any) -> None:
    """Give a process of `multiprocessing` its board now. It refreshes only indicators that it has used."""
    by_itself.start()
    _native.watch_signals()
    _native.attach()


def hook_spawned_process(spawn: Any) -> Any:
    """Wrap the function that starts interpreters for `multiprocessing`: they get the hooks and options."""

    @functools.wraps(spawn)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        # The program, its arguments, and descriptors.
        is_process = not any("_tracker" in str(argument) for argument in args[1:2])
        with launch.restored_environment() if is_process else contextlib.nullcontext():
            return spawn(*args, **kwargs)

    return wrapper


def say_goodbye(status: int) -> None:
    """Say that the process ends in good order, if it does."""
    if status == 0:
        _native.goodbye()


def say_goodbye_of_pool(_worker: Any, _pid: int, status: int, *_args: Any) -> None:
    """Say that a process of Celery's pool ends in good order, as after its number of tasks, if it does."""
    if status in (0, _BILLIARD_RECYCLE):
        _native.goodbye()


def watch_signals(_result: Any, number: int, *_args: Any, **_kwargs: Any) -> None:
    """Notice a signal that tells the process to end, and for which a handler has just been set."""
    if number in _ENDING_SIGNALS:
        _native.watch_signals()


def read_configuration(_result: Any, conf: Any, *_args: Any, **_kwargs: Any) -> None:
    """Start health with the options of an `oslo.config` object that has just read its files."""
    from oslo_config import cfg

    # A service may first read the files with a separate object, to choose between eventlet and threads. That
    # object has no project.
    if conf is cfg.CONF or conf.project:
        from ...oslo import opts

        if launch.has_started:
            # It may have read the files again. Options count from the start on.
            opts.remember(conf)
        else:
            opts.start(conf)


def defer_notices() -> None:
    """Keep lines until the service has configured its logging."""
    notices.defer()


def log_notices(*_args: Any, **_kwargs: Any) -> None:
    """Log the lines from before the service configured its logging."""
    notices.release()


def prepare_gunicorn_worker(worker: Any, *_args: Any, **_kwargs: Any) -> None:
    """Attach in a worker whose master has loaded the application, and have it drain before it stops."""
    progress.attach()
    for name in ("handle_exit", "handle_quit"):
        # Set on the object, since gunicorn has several worker classes.
        setattr(worker, name, call_before(getattr(worker, name), drain))


def restore_gunicorn_environment(arbiter: Any, *_args: Any, **_kwargs: Any) -> None:
    """Give healthboard's variables to the new master that this one executes."""
    launch.restore_environment(arbiter.cfg.env_orig)
