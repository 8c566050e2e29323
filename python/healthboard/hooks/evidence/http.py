"""Requests to a host that a process asks more than once are evidence for `http_HOST`: requests and httpx.

The first hosts have an indicator, up to a number: a service may send a request to any address that its users
give it. They are informational. A refresh asks none of them: only the service knows what it may ask.
"""

from __future__ import annotations

from ... import Indicator
from ...classify import http

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ... import Operation

# How many hosts have an indicator. A board has room for 31 indicators.
MAX_HOSTS = 6

# How many hosts that were asked once are remembered.
MAX_REMEMBERED = 256

_indicators: dict[str, Indicator] = {}
_asked_once: set[str] = set()


def indicator(host: str) -> Indicator | None:
    """Return the indicator of a host that is asked now, or None if it has none."""
    found = _indicators.get(host)
    if found is not None or len(_indicators) >= MAX_HOSTS:
        return found
    if host not in _asked_once:
        if len(_asked_once) >= MAX_REMEMBERED:
            _asked_once.clear()
        _asked_once.add(host)
        return None
    found = _indicators[host] = Indicator(f"http_{host}", impact="informational")
    return found


def end(operation: Operation, status: Any) -> None:
    """End a request that has been answered, by the status of the answer."""
    evidence = http.of_status(status).evidence if isinstance(status, int) and status >= 300 else True
    if evidence is None:
        operation.end()
    elif evidence is True:
        operation.ok()
    else:
        operation.fail("HttpServerError", str(status))
