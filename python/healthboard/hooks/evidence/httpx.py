"""httpx: a request to a host that is asked again and again is evidence for `http_HOST`.

Recorded where a request leaves the process, so one to an application in it, as tests do, is none. A request
raises when it was not answered; an answer is a failure by its status, such as 503. Of hosts that were away,
unknown, hung, broke the connection, spoke no TLS or answered 500, and of a pool without a free place, all
errors were provoked for real.
"""

from __future__ import annotations

import functools

from ... import classify, notices
from ..patches import Patches
from . import http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _indicator(request: Any) -> Any:
    with notices.suppress_errors("hook for httpx"):
        return http.indicator(request.url.host)
    return None


def _record(handle: Any) -> Any:
    @functools.wraps(handle)
    def wrapper(transport: Any, request: Any) -> Any:
        indicator = _indicator(request)
        if indicator is None:
            return handle(transport, request)
        with indicator.begin(classify.judge) as operation:
            response = handle(transport, request)
            http.end(operation, response.status_code)
        return response

    return wrapper


def _record_coroutine(handle: Any) -> Any:
    @functools.wraps(handle)
    async def wrapper(transport: Any, request: Any) -> Any:
        indicator = _indicator(request)
        if indicator is None:
            return await handle(transport, request)
        with indicator.begin(classify.judge) as operation:
            response = await handle(transport, request)
            http.end(operation, response.status_code)
        return response

    return wrapper


def _hook(default: ModuleType) -> None:
    _patches.around(default, "HTTPTransport.handle_request", _record)
    _patches.around(default, "AsyncHTTPTransport.handle_async_request", _record_coroutine)


_patches = Patches({"httpx._transports.default": _hook})
install, uninstall = _patches.install, _patches.uninstall
