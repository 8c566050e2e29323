"""Paste Deploy, which loads WSGI applications: their responses are evidence for `requests`."""

from __future__ import annotations

import functools

from ... import Indicator
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from ... import Operation

# The path of oslo.middleware's health check. A probe is no evidence.
PROBE_PATH = "/healthcheck"

# The application does not support the request. It has not failed.
NOT_IMPLEMENTED = "501"


class Application:
    """Records every request to an application. All other attributes are the application's own."""

    def __init__(self, application: Any, requests: Indicator) -> None:
        self._application = application
        self._requests = requests

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ.get("PATH_INFO") == PROBE_PATH:
            return self._application(environ, start_response)
        status, has_returned = None, False

        def start(given: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal status
            status = given
            if has_returned:
                # The status comes with the first part of the body.
                with self._requests.begin() as operation:
                    _fail_if_server_error(given, operation)
            return start_response(given, *args, **kwargs)

        with self._requests.begin() as operation:
            # The body is not wrapped: servers treat some classes specially.
            body = self._application(environ, start)
            has_returned = True
            if status is None:
                operation.end()
            else:
                _fail_if_server_error(status, operation)
        return body


def _fail_if_server_error(status: Any, operation: Operation) -> None:
    if status[:1] == "5" and status[:3] != NOT_IMPLEMENTED:
        operation.fail("ServerError", status[:3])


def _hook(deploy: ModuleType) -> None:
    is_loading = False

    def record(load: Any) -> Any:
        @functools.wraps(load)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal is_loading
            # An application may load others. Only the outermost one is recorded.
            is_outermost, is_loading = not is_loading, True
            try:
                application = load(*args, **kwargs)
            finally:
                is_loading = not is_outermost
            if not is_outermost:
                return application
            return Application(application, Indicator("requests", impact="degrading", ttl=0))

        return wrapper

    _patches.around(deploy, "loadapp", record)


_patches = Patches({"paste.deploy": _hook})
install, uninstall = _patches.install, _patches.uninstall
