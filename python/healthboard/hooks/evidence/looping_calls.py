"""oslo.service's looping calls: those that report that the service is up are evidence for `service_report`.

Such a call is known by the name of its function, which swallows its failures so that the loop goes on. It has
failed if it raises, if its module logs an error meanwhile, or if it leaves the flag `model_disconnected`
behind. One that clears the flag has succeeded, and may say so in an error.

The other calls tell how often the service does what they do.
"""

from __future__ import annotations

import functools
import weakref
from contextvars import ContextVar

from ... import Indicator
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from logging import LogRecord
    from types import ModuleType
    from typing import Any

# For how many intervals an outcome counts.
INTERVALS = 3

# A function with one of these in its name reports that the service is up.
REPORTS = ("report_state", "service_manage_report", "heartbeat", "keepalive")

# Set on the object that reports, when it has lost the connection to the recipient of its reports.
LOST_FLAG = "model_disconnected"

# `logging.ERROR`. `logging` must not be imported here: a service may have to patch it first.
_ERROR = 40

# The places of the class: since 4.4 one for all backends, in earlier versions one for each, before 4.0 only
# one.
_PLACES = (
    ("oslo_service.backend._common.loopingcall", "FixedIntervalLoopingCallBase.start"),
    ("oslo_service.backend._eventlet.loopingcall", "FixedIntervalLoopingCall.start"),
    ("oslo_service.backend._threading.loopingcall", "FixedIntervalLoopingCall.start"),
    ("oslo_service.backend.eventlet.loopingcall", "FixedIntervalLoopingCall.start"),
    ("oslo_service.backend.threading.loopingcall", "FixedIntervalLoopingCall.start"),
    ("oslo_service.loopingcall", "FixedIntervalLoopingCall.start"),
)

# The functions of the calls that were started.
_functions: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

# The seconds between two runs of the looping call that runs in this thread.
_interval: ContextVar[float | None] = ContextVar("healthboard_interval", default=None)


def ttl(default: float) -> float:
    """Return for how many seconds an outcome of the running call counts, or `default` outside of a call."""
    interval = _interval.get()
    return default if interval is None else INTERVALS * interval


def _on_start(call: Any, interval: Any, *_args: Any, **_kwargs: Any) -> None:
    function = _functions.setdefault(call, call.f)
    name = str(getattr(function, "__name__", ""))
    if any(part in name for part in REPORTS):
        if _is_empty(function):
            return
        call.f = _record_report(weakref.ref(call), float(interval), function)
    elif "periodic" in name:
        call.f = _with_interval(float(interval), function)


def _is_empty(function: Any) -> bool:
    """Tell whether a function does nothing. A report that does nothing would always succeed."""
    code = getattr(function, "__code__", None)
    return code is not None and not (code.co_names or code.co_freevars)


def _record_report(call: weakref.ref[Any], interval: float, function: Any) -> Any:
    """Record the runs of a function that reports that the service is up."""
    owners = [getattr(function, "__self__", None)]

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        # Created on first use: not every service makes reports.
        indicator = Indicator("service_report", impact="degrading", ttl=INTERVALS * interval)
        was_lost = _is_lost(*owners, *args)
        with indicator.begin(_judge) as operation, _Errors(function.__module__) as errors:
            result = function(*args, **kwargs)
            is_lost = _is_lost(*owners, *args)
            if is_lost or (errors.newest and not was_lost):
                operation.fail(errors.raised() or "NotReported")
            elif not getattr(call(), "_running", True):
                # It has stopped its loop, so no further report follows.
                operation.end()
        return result

    return wrapper


def _judge(raised: BaseException) -> bool | None:
    # A loop ends with this.
    return None if type(raised).__name__ == "LoopingCallDone" else False


def _is_lost(*owners: Any) -> bool:
    return any(getattr(owner, LOST_FLAG, False) is True for owner in owners)


class _Errors:
    """A block that notes the errors that a module logs in the same thread while the block runs."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._thread = 0
        self.newest: LogRecord | None = None

    def __enter__(self) -> _Errors:
        import logging
        import threading

        self._thread = threading.get_ident()
        self._logger = logging.getLogger(self._module)
        self._logger.addFilter(self._note)
        return self

    def __exit__(self, *_raised: object) -> None:
        self._logger.removeFilter(self._note)

    def raised(self) -> BaseException | None:
        """Return the exception of the newest error, if it has one."""
        information = self.newest.exc_info if self.newest else None
        return information[1] if information else None

    def _note(self, record: LogRecord) -> bool:
        if record.levelno >= _ERROR and record.thread == self._thread:
            self.newest = record
        return True


def _with_interval(interval: float, function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        token = _interval.set(interval)
        try:
            return function(*args, **kwargs)
        finally:
            _interval.reset(token)

    return wrapper


def _hook(path: str, module: ModuleType) -> None:
    _patches.before(module, path, _on_start, optional=True)


_patches = Patches({module: functools.partial(_hook, path) for module, path in _PLACES})
install, uninstall = _patches.install, _patches.uninstall
