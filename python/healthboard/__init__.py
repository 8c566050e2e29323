"""Health checks from a daemon's own work.

    import healthboard
    from healthboard import healthcheck

    @healthcheck("database")
    def query(): ...

    healthboard.start("my-service", {"uri": "unix:///run/my-service/health.sock"})

An *indicator* stands for one thing that the service needs. Recording the outcome of an operation takes some
nanoseconds and never raises. It does nothing until `start` is called, so a library can record
unconditionally.
"""

import sys

if "t" in sys.abiflags:
    raise ImportError("healthboard needs Python with its interpreter lock, and this is free-threaded Python")

from ._native import Indicator, Operation, __version__, drain, goodbye, reloading
from .decorator import healthcheck
from .refresher import refresh
from .start import ready, start

__all__ = [
    "Indicator",
    "Operation",
    "__version__",
    "drain",
    "goodbye",
    "healthcheck",
    "ready",
    "record_fail",
    "record_ok",
    "refresh",
    "reloading",
    "start",
]


def record_ok(name: str) -> None:
    """Record that an operation of the indicator `name` succeeded."""
    _indicator(name).record_ok()


def record_fail(
    name: str,
    failure: BaseException | type[BaseException] | str,
    code: str | None = None,
    text: str | None = None,
) -> None:
    """Record that an operation failed. `failure` is an exception, its class, or the name of its class."""
    _indicator(name).record_fail(failure, code, text)


_indicators: dict[str, Indicator] = {}


def _indicator(name: str) -> Indicator:
    indicator = _indicators.get(name)
    if indicator is None:
        indicator = _indicators[name] = Indicator(name)
    return indicator
