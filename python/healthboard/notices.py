"""Lines for the service's log, kept until the service has configured its logging."""

from __future__ import annotations

import sys

from . import _native, launch

# The new status, the previous one, and the cause.
Change = tuple[str, str, str]

# Lines that have not been logged yet, each with whether it is a warning and the change that it reports. A
# forked process has them as well. The first process that can log a line does so: uWSGI's master never can.
_pending: list[tuple[_native.Claim, bool, str, Change | None]] = []

# The keys that `warn_once` has used.
_warned: set[str] = set()

# For how many more calls of `flush` lines wait for the service to configure its logging.
_remaining_waits = 10

# Whether lines are kept until `release` is called.
_is_deferred = False


def add(text: str, *, warning: bool = True, change: Change | None = None) -> None:
    """Log a line, now or as soon as the service can log."""
    _pending.append((_native.Claim(), warning, text, change))
    if _can_log():
        flush()


def warn_once(key: str, text: str) -> None:
    """Log a warning, unless one with this key has been logged."""
    if key not in _warned:
        _warned.add(key)
        add(text)


def flush(*, now: bool = False) -> None:
    """Log the pending lines. With `now`, do not wait until the service has configured its logging."""
    global _remaining_waits
    if not _pending:
        return
    if not (now or _can_log() or _remaining_waits <= 0):
        _remaining_waits -= 1
        return
    import logging

    logger = logging.getLogger("healthboard")
    while _pending:
        try:
            claim, warning, text, change = _pending.pop(0)
        except IndexError:
            # Another thread flushes at the same time.
            return
        if not claim.take():
            continue
        fields = None if change is None else _fields(*change)
        logger.log(logging.WARNING if warning else logging.INFO, "%s", text, extra=fields)


def _fields(status: str, previous: str, cause: str) -> dict[str, object]:
    """Return the attributes of the record of a change."""
    fields = {"status": status, "previous": previous, "cause": cause}
    fields["service"] = launch.started_with.get("HEALTHBOARD_SERVICE", "")
    attributes = {f"healthboard_{name}": value for name, value in fields.items()}
    # oslo.log shows the attributes that are listed in `extra_keys`.
    return {**attributes, "extra_keys": list(attributes)}


def defer() -> None:
    """Keep lines until `release`. A handler that exists before then is not that of the service's log."""
    global _is_deferred
    _is_deferred = True


def release() -> None:
    """Log the pending lines, and later ones at once."""
    global _is_deferred
    _is_deferred = False
    flush(now=True)


class suppress_errors:  # noqa: N801 - used like a function
    """A block whose exceptions must not reach the service. The first one for each `what` is logged."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, raised: BaseException | None, _traceback: object) -> bool:
        if not isinstance(raised, Exception):
            return False
        try:
            text = _native.scrub(f"{type(raised).__name__}: {raised}")
            warn_once(self._what, f"{self._what}: {text}; the service is not affected")
        except Exception:
            # A failure to log must not reach the service either.
            pass
        return True


def _can_log() -> bool:
    # `logging` must not be imported here: a service may have to patch it before its first import.
    logging = sys.modules.get("logging")
    return not _is_deferred and logging is not None and logging.getLogger("healthboard").hasHandlers()
