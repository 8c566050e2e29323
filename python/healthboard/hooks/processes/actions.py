"""What is done at a moment in the life of a process.

Each function takes whatever the hooked function takes.
"""

from __future__ import annotations

from ... import _native, launch, notices, progress, refresher
from ..patches import call_before

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def drain(*_args: Any, **_kwargs: Any) -> None:
    """Say that the process is draining."""
    _native.drain()


def watch(*_args: Any, **_kwargs: Any) -> None:
    """Say that the process is a master, which refreshes nothing: a child must not inherit a held lock."""
    refresher.stop()
    _native.watch()


def stop_refreshing(*_args: Any, **_kwargs: Any) -> None:
    """Refresh nothing more in this process."""
    refresher.stop()


def attach(*_args: Any, **_kwargs: Any) -> None:
    """Give a worker its board now: it may record nothing for hours."""
    progress.attach()


def say_goodbye(status: int) -> None:
    """Say that the process ends in good order, if it does."""
    if status == 0:
        _native.goodbye()


def read_configuration(_result: Any, conf: Any, *_args: Any, **_kwargs: Any) -> None:
    """Start health with the options of an `oslo.config` object that has just read its files."""
    from oslo_config import cfg

    # Nova reads the files once before with an object of its own, to choose between eventlet and threads. That
    # object has no project.
    if conf is cfg.CONF or conf.project:
        from ...oslo import opts

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
        # On the object: gunicorn has several worker classes.
        setattr(worker, name, call_before(getattr(worker, name), drain))


def restore_gunicorn_environment(arbiter: Any, *_args: Any, **_kwargs: Any) -> None:
    """Give our variables to the new master that this one executes."""
    launch.restore_environment(arbiter.cfg.env_orig)
