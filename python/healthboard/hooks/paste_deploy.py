"""Paste Deploy, which makes the WSGI applications: the answers to requests are evidence for `requests`."""

from __future__ import annotations

import functools

from .. import Indicator, refresh, threads
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

    from .. import Operation

# oslo.middleware's, which may tell what we tell it. A probe is no request of anybody's.
PROBE = "/healthcheck"

# By which an application says that it does not know what is asked, and not that it failed.
NOT_IMPLEMENTED = "501"


class Application:
    """An application with every request recorded; in all else it is the one behind it."""

    def __init__(self, application: Any, requests: Indicator) -> None:
        self._application = application
        self._requests = requests

    def refresh(self, _nothing_to_build_on: bool) -> None:
        """Ask for the root if the newest request has failed: the next one may come in hours."""
        if not self._requests.failures() or threads.are_apart():
            return
        from wsgiref.util import setup_testing_defaults

        environ: dict[str, Any] = {"HTTP_USER_AGENT": "healthboard"}
        setup_testing_defaults(environ)
        body = self(environ, lambda *_, **__: lambda _: None)
        try:
            # Some begin when they are asked for the first part.
            for _ in body:
                pass
        finally:
            getattr(body, "close", lambda: None)()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ.get("PATH_INFO") == PROBE:
            return self._application(environ, start_response)
        status, has_returned = None, False

        def start(given: Any, *args: Any, **kwargs: Any) -> Any:
            nonlocal status
            status = given
            if has_returned:
                # With the first part of its body.
                with self._requests.begin() as operation:
                    _fail_by(given, operation)
            return start_response(given, *args, **kwargs)

        with self._requests.begin() as operation:
            # Returned as it came: a server knows some kinds of bodies by their class.
            body = self._application(environ, start)
            has_returned = True
            if status is None:
                operation.end()
            else:
                _fail_by(status, operation)
        return body


def _fail_by(status: Any, operation: Operation) -> None:
    if status[:1] == "5" and status[:3] != NOT_IMPLEMENTED:
        operation.fail("ServerError", status[:3])


def _hook(deploy: ModuleType) -> None:
    is_loading = False

    def watch(load: Any) -> Any:
        @functools.wraps(load)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            nonlocal is_loading
            # An application may load others, and answers for them.
            is_outermost, is_loading = not is_loading, True
            try:
                application = load(*args, **kwargs)
            finally:
                is_loading = not is_outermost
            if not is_outermost:
                return application
            requests = Indicator("requests", impact="degrading", ttl=0, refresh_interval=10)
            watched = Application(application, requests)
            refresh.offer(requests, watched.refresh)
            return watched

        return wrapper

    _patches.replace(deploy, "loadapp", watch)


_patches = Patches({"paste.deploy": _hook})
install, uninstall = _patches.install, _patches.uninstall
