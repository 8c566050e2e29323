"""gunicorn: workers are seen before their first request, and say that they are draining before they stop.

A master refreshes nothing.
"""

from __future__ import annotations

import functools

from .. import launch, notices, progress
from .drains import drain_before, watch_before
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _prepare(init_process: Any) -> Any:
    @functools.wraps(init_process)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with notices.swallowed("gunicorn worker"):
            # Where the master has loaded the application.
            progress.attach()
            for name in ("handle_exit", "handle_quit"):
                # On the worker and not on its class, of which there are several.
                setattr(args[0], name, drain_before(getattr(args[0], name)))
        return init_process(*args, **kwargs)

    return wrapper


def _attach_after(load: Any) -> Any:
    @functools.wraps(load)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = load(*args, **kwargs)
        with notices.swallowed("gunicorn worker"):
            # Where health starts with the application.
            progress.attach()
        return result

    return wrapper


def _keep_before(reexec: Any) -> Any:
    @functools.wraps(reexec)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with notices.swallowed("gunicorn master"):
            # A master of the new program takes over.
            launch.keep(args[0].cfg.env_orig)
        return reexec(*args, **kwargs)

    return wrapper


def _hook_worker(base: ModuleType) -> None:
    _patches.replace(base, "Worker.init_process", _prepare)
    _patches.replace(base, "Worker.load_wsgi", _attach_after)


def _hook_master(arbiter: ModuleType) -> None:
    _patches.replace(arbiter, "Arbiter.run", watch_before)
    _patches.replace(arbiter, "Arbiter.stop", drain_before)
    _patches.replace(arbiter, "Arbiter.reexec", _keep_before)


_patches = Patches({"gunicorn.workers.base": _hook_worker, "gunicorn.arbiter": _hook_master})
install, uninstall = _patches.install, _patches.uninstall
