"""keystoneauth1: requests to other OpenStack services are evidence for `placement`, `network` and so on.

These indicators are informational: restarting this service repairs no other service.
"""

from __future__ import annotations

import contextlib
import functools
import weakref

from ... import Indicator, classify, notices
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# Indicators by service type in the catalog. Other types are not recorded: a board has room for 31 indicators.
INDICATORS = {
    "accelerator": "accelerator",
    "baremetal": "baremetal",
    "block-storage": "volume",
    "block-store": "volume",
    "compute": "compute",
    "identity": "identity",
    "image": "image",
    "key-manager": "key_manager",
    "network": "network",
    "placement": "placement",
    "shared-file-system": "share",
    "sharev2": "share",
    "volume": "volume",
    "volumev2": "volume",
    "volumev3": "volume",
}

# The service does not support the request. It has not failed.
NOT_IMPLEMENTED = 501


def indicator_name(url: Any, endpoint_filter: Any) -> str | None:
    """Return the indicator that a request is evidence for, or None."""
    if endpoint_filter:
        return INDICATORS.get(endpoint_filter.get("service_type"))
    return "identity" if str(url).endswith("/auth/tokens") else None


def _failed(status: Any) -> bool:
    return isinstance(status, int) and status >= 500 and status != NOT_IMPLEMENTED


def _record() -> Any:
    # A request may make another request, for a token. An exception counts only for the inner request.
    newest: weakref.ref[BaseException] | None = None

    def judge(raised: BaseException) -> classify.Evidence:
        nonlocal newest
        if newest is not None and newest() is raised:
            return None
        evidence = classify.judge(raised)
        if evidence is False:
            # Builtin exceptions cannot be referred to. keystoneauth1 raises others.
            with contextlib.suppress(TypeError):
                newest = weakref.ref(raised)
        return evidence

    def wrap(request: Any) -> Any:
        @functools.wraps(request)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            name = None
            with notices.suppress_errors("hook for keystoneauth1"):
                url = args[1] if len(args) > 1 else kwargs.get("url")
                name = indicator_name(url, kwargs.get("endpoint_filter"))
            if name is None:
                return request(*args, **kwargs)
            with Indicator(name, impact="informational").begin(judge) as operation:
                response = request(*args, **kwargs)
                status = getattr(response, "status_code", None)
                if _failed(status):
                    operation.fail("HttpServerError", str(status))
            return response

        return wrapper

    return wrap


def _hook(session: ModuleType) -> None:
    _patches.around(session, "Session.request", _record())


_patches = Patches({"keystoneauth1.session": _hook})
install, uninstall = _patches.install, _patches.uninstall
