"""What is to be said in the service's log, kept until the service has one."""

from __future__ import annotations

import sys

from . import _native

# What has not been logged yet: whether it is a warning, and the line.
_waiting: list[tuple[bool, str]] = []

# The keys of `say_once`.
_said: set[str] = set()

# How many more times `log` waits for the service to configure its logging.
_patience = 10

# Whether it is known that the service will do so.
_held = False


def say(text: str, *, warning: bool = True) -> None:
    """Log a line, now or as soon as the service can."""
    _waiting.append((warning, text))
    if _can_log():
        log()


def say_once(key: str, text: str) -> None:
    """Log a warning unless one with this key was logged before."""
    if key not in _said:
        _said.add(key)
        say(text)


def log(*, now: bool = False) -> None:
    """Log what is waiting; `now`, even if the service has not configured its logging in all this time."""
    global _patience
    if not _waiting:
        return
    if not (now or _can_log() or _patience <= 0):
        _patience -= 1
        return
    import logging

    logger = logging.getLogger("healthboard")
    # Another thread may do the same.
    waiting, _waiting[:] = _waiting[:], []
    for warning, text in waiting:
        logger.log(logging.WARNING if warning else logging.INFO, "%s", text)


def hold() -> None:
    """Wait for `release`: whatever handler there is before it is not the service's log."""
    global _held
    _held = True


def release() -> None:
    """Log what is waiting, and from now on at once."""
    global _held
    _held = False
    log(now=True)


class swallowed:  # noqa: N801 - used like a function
    """A block whose failure must not reach the service: it is logged once."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, raised: BaseException | None, _traceback: object) -> bool:
        if not isinstance(raised, Exception):
            return False
        try:
            text = _native.scrub(f"{type(raised).__name__}: {raised}")
            say_once(self._what, f"{self._what}: {text}; the service is not affected")
        except Exception:
            # Not even the telling may reach it.
            pass
        return True


def _can_log() -> bool:
    # Importing it early would be ours to answer for: a service may have to patch it first.
    logging = sys.modules.get("logging")
    return not _held and logging is not None and logging.getLogger("healthboard").hasHandlers()
