"""gunicorn: workers attach before their first request and drain before they stop.

A master refreshes nothing.
"""

from __future__ import annotations

import functools

from .. import launch, notices, progress
from .lifecycle import drain_before, watch_before
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _prepare_worker(init_process: Any) -> Any:
    @functools.wraps(init_process)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with notices.suppress_errors("gunicorn worker"):
            # With `preload`, the master has loaded the application and started health.
            progress.attach()
            for name in ("handle_exit", "handle_quit"):
                # On the object: gunicorn has several worker classes.
                setattr(args[0], name, drain_before(getattr(args[0], name)))
        return init_process(*args, **kwargs)

    return wrapper


def _attach_after(load: Any) -> Any:
    @functools.wraps(load)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = load(*args, **kwargs)
        with notices.suppress_errors("gunicorn worker"):
            # Without `preload`, health starts when the worker loads the application.
            progress.attach()
        return result

    return wrapper


def _restore_environment_before(reexec: Any) -> Any:
    @functools.wraps(reexec)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with notices.suppress_errors("gunicorn master"):
            # The new master needs our variables.
            launch.restore_environment(args[0].cfg.env_orig)
        return reexec(*args, **kwargs)

    return wrapper


def _hook_worker(base: ModuleType) -> None:
    _patches.replace(base, "Worker.init_process", _prepare_worker)
    _patches.replace(base, "Worker.load_wsgi", _attach_after)


def _hook_master(arbiter: ModuleType) -> None:
    _patches.replace(arbiter, "Arbiter.run", watch_before)
    _patches.replace(arbiter, "Arbiter.stop", drain_before)
    _patches.replace(arbiter, "Arbiter.reexec", _restore_environment_before)


_patches = Patches({"gunicorn.workers.base": _hook_worker, "gunicorn.arbiter": _hook_master})
install, uninstall = _patches.install, _patches.uninstall
