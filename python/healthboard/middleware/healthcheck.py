"""The verdict at a path of an application that does not use oslo.middleware.

Every method is answered, with 200 or 503 and one line of text.
"""

from __future__ import annotations

from ..verdict import verdict
from . import requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Healthcheck:
    __slots__ = ("_application", "_path")

    def __init__(self, application: Callable[..., Any], path: str = "/healthcheck") -> None:
        if not callable(application):
            raise TypeError(f"expected an application, found {application!r}")
        self._application = application
        self._path = requests.add_probe(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)


class WSGIHealthcheck(_Healthcheck):
    """Answer `path`, and pass all other requests to a WSGI application."""

    __slots__ = ()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if environ.get("PATH_INFO") != self._path:
            return self._application(environ, start_response)
        status, headers, body = _answer(environ.get("REQUEST_METHOD"))
        start_response("200 OK" if status == 200 else "503 Service Unavailable", headers)
        return [body]


class ASGIHealthcheck(_Healthcheck):
    """Answer `path`, and pass all other requests to an ASGI 3 application."""

    __slots__ = ()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http" or requests.path_of(scope) != self._path:
            return await self._application(scope, receive, send)
        status, headers, body = _answer(scope["method"])
        raw = [(name.lower().encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": body})
        return None


def _answer(method: str | None) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return status, headers and body."""
    available, reason, _ = verdict()
    body = f"{reason}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=UTF-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ]
    return 200 if available else 503, headers, b"" if method == "HEAD" else body
