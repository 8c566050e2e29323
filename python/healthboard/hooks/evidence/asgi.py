"""Servers of ASGI applications: uvicorn, alone or in gunicorn; gunicorn's own worker; hypercorn; daphne.

None of them has a limit of requests at once unless it is told so.
"""

from __future__ import annotations

import functools

from ...middleware import ASGI
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# A module, a function in it after which an object has an application, and the attribute that holds it.
_TABLE = (
    ("uvicorn.config", "Config.load", "loaded_app"),
    ("gunicorn.workers.gasgi", "ASGIWorker.load_wsgi", "asgi"),
    ("hypercorn.app_wrappers", "ASGIWrapper.__init__", "app"),
    ("daphne.server", "Server.__init__", "application"),
)


def _hook(module: ModuleType) -> None:
    for name, path, attribute in _TABLE:
        if name == module.__name__:
            _patches.after(module, path, functools.partial(_wrap_attribute, attribute))


def _wrap_attribute(attribute: str, _result: Any, owner: Any, *_args: Any, **_kwargs: Any) -> None:
    application = getattr(owner, attribute)
    if type(application) is not ASGI:
        setattr(owner, attribute, ASGI(application))


_patches = Patches({name: _hook for name, *_ in _TABLE})
install, uninstall = _patches.install, _patches.uninstall
