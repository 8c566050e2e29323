"""requests: a request to a host that is asked again and again is evidence for `http_HOST`.

A request raises when it was not answered; an answer is a failure by its status, such as 503. Of hosts that
were away, unknown, hung, broke the connection, spoke no TLS or answered 500, all errors were provoked for
real. keystoneauth1 has a hook of its own.
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


def _record(send: Any) -> Any:
    @functools.wraps(send)
    def wrapper(adapter: Any, request: Any, *args: Any, **kwargs: Any) -> Any:
        indicator = None
        with notices.suppress_errors("hook for requests"):
            if not type(adapter).__module__.startswith("keystoneauth1."):
                from urllib.parse import urlsplit

                indicator = http.indicator(urlsplit(request.url).hostname or "")
        if indicator is None:
            return send(adapter, request, *args, **kwargs)
        with indicator.begin(classify.judge) as operation:
            response = send(adapter, request, *args, **kwargs)
            http.end(operation, getattr(response, "status_code", None))
        return response

    return wrapper


def _hook(adapters: ModuleType) -> None:
    _patches.around(adapters, "HTTPAdapter.send", _record)


_patches = Patches({"requests.adapters": _hook})
install, uninstall = _patches.install, _patches.uninstall
