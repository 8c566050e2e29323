"""WSGI and ASGI applications, whoever serves them: their responses are evidence for `requests`.

What requests of both kinds have in common: their indicator, and which of them count.
"""

from __future__ import annotations

import os

from .. import Indicator, Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The key in a request's environment or scope that marks the request as already recorded.
MARK = "healthboard.is_recorded"

# The last segments of paths that health checks conventionally use. A probe is not evidence.
_PROBES = frozenset(("health", "healthcheck", "healthz", "livez", "readyz"))

# Paths at which an application of this process answers health checks.
_own_probes: set[str] = set()

# The application does not support the request. It has not failed.
_NOT_IMPLEMENTED = 501

# Created on first use: a program that serves no requests must not show it.
_indicator: Indicator | None = None

# How many requests this process can serve at once (None if unknown), and the process that has recorded that.
_capacity: int | None = None
_said_in_process = 0


def indicator() -> Indicator:
    """Return the indicator of all requests. Its evidence never becomes stale."""
    global _indicator
    if _indicator is None:
        _indicator = Indicator("requests", impact="degrading", ttl=0)
    return _indicator


def path_of(scope: Any) -> str:
    """Return the path within an ASGI application. Most servers put the place of the application before it."""
    path: str = scope.get("path", "")
    place = scope.get("root_path", "").rstrip("/")
    return path.removeprefix(place) if path.startswith(f"{place}/") else path


def is_probe(path: str) -> bool:
    """Tell whether a health check asks for this path."""
    return path.rpartition("/")[2] in _PROBES or path in _own_probes


def add_probe(path: str) -> str:
    """Note that health checks ask for this path. Return the path."""
    if not path.startswith("/"):
        raise ValueError(f"expected a path such as `/healthcheck`, found `{path}`")
    _own_probes.add(path)
    return path


def end(operation: Operation, status: int) -> bool:
    """End the operation of a request by the status of its response, and tell whether that is a failure.

    A refused request, such as one without credentials or for an unknown path, is no evidence: it may never
    have reached the part that fails.
    """
    failed = status >= 500 and status != _NOT_IMPLEMENTED
    if failed:
        operation.fail("ServerError", str(status))
    elif 0 < status < 400:
        operation.ok()
    else:
        operation.end()
    return failed


def set_capacity(requests: int) -> None:
    """Remember how many requests each process can serve at once. It is recorded at the first request."""
    global _capacity
    _capacity = requests


def say_capacity() -> None:
    """Record the capacity of this process, once. A worker without requests records it too: it has room."""
    global _said_in_process
    if _capacity is not None and _said_in_process != os.getpid():
        _said_in_process = os.getpid()
        indicator().set_capacity(_capacity)
