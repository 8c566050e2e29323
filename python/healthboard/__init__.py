"""A daemon tells its own health.

    import healthboard
    from healthboard import healthcheck

    @healthcheck("database")
    def query(): ...

    healthboard.start("my-service", {"uri": "unix:///run/my-service/health.sock"})

An *indicator* stands for one thing the service needs. Recording the outcome of an operation costs some
nanoseconds and never raises; as long as `start` has not been called it does nothing, so a library may record
without asking whether the program wants to be watched.
"""

from ._native import Indicator, Operation, __version__, drain, goodbye
from .decorator import healthcheck
from .start import start

__all__ = [
    "Indicator",
    "Operation",
    "__version__",
    "drain",
    "goodbye",
    "healthcheck",
    "record_fail",
    "record_ok",
    "start",
]


def record_ok(name: str) -> None:
    """Record that an operation on what the indicator `name` stands for succeeded."""
    _indicator(name).record_ok()


def record_fail(
    name: str,
    failure: BaseException | type[BaseException] | str,
    code: str | None = None,
    text: str | None = None,
) -> None:
    """Record that it failed: with an exception, a class of them, or the name of one."""
    _indicator(name).record_fail(failure, code, text)


_indicators: dict[str, Indicator] = {}


def _indicator(name: str) -> Indicator:
    indicator = _indicators.get(name)
    if indicator is None:
        indicator = _indicators[name] = Indicator(name)
    return indicator
