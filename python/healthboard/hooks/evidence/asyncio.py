"""asyncio and uvloop: while an event loop runs in the main thread, `progress` is stamped from it.

A thread of ours goes on while the loop is blocked, so it cannot tell that nothing is served. Every way to run
a loop, such as `asyncio.run`, uvicorn or aiohttp's `run_app`, comes through `run_forever`.
"""

from __future__ import annotations

import functools

from ... import notices, progress
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _patch_asyncio(module: ModuleType) -> None:
    _patches.around(module, "BaseEventLoop.run_forever", _stamp_meanwhile)


def _patch_uvloop(module: ModuleType) -> None:
    # The method is compiled, and is inherited by the class that programs use.
    if "run_forever" not in vars(module.Loop):
        module.Loop.run_forever = module.Loop.run_forever
    _patches.around(module, "Loop.run_forever", _stamp_meanwhile)


def _stamp_meanwhile(run_forever: Any) -> Any:
    @functools.wraps(run_forever)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        stamps = None
        with notices.suppress_errors("asyncio"):
            stamps = progress.begin_loop(args[0])
        try:
            return run_forever(*args, **kwargs)
        finally:
            if stamps is not None:
                with notices.suppress_errors("asyncio"):
                    stamps.end()

    return wrapper


_patches = Patches({"asyncio.base_events": _patch_asyncio, "uvloop": _patch_uvloop})
install, uninstall = _patches.install, _patches.uninstall
