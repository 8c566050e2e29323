"""Health that starts by itself, in a program that does not call `start`.

With oslo.config it starts when the configuration has been read. For other programs the endpoints come from
HEALTHBOARD_URI. Health starts when the first of these happens: a server has loaded its application or is
about to fork its workers, a hook or the program records something, or the program has run for two seconds. A
program that has imported oslo.config may still read its configuration, and has a minute.
"""

from __future__ import annotations

import _thread
import os
import sys

from . import launch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_URI = "HEALTHBOARD_URI"

# Seconds after which a program counts as running.
_WAIT = 2.0
_WAIT_FOR_CONFIGURATION = 60.0

# Held while health starts, and acquired before a fork: a child must not inherit an unfinished start.
_starting = _thread.allocate_lock()

# Held until health starts. The release ends the thread that waits for the start.
_waiting = _thread.allocate_lock()

_is_started = False
_is_missing_said = False


def prepare(variables: Mapping[str, str]) -> None:
    """Arrange that health starts by itself if the variables name an endpoint."""
    if _URI not in variables:
        if not _can_read_configuration():
            _say_missing()
        return
    from . import _native

    os.register_at_fork(
        before=_starting.acquire, after_in_parent=_starting.release, after_in_child=_release_in_child
    )
    _native.before_start(start)
    if not launch.is_self_executing():
        # uWSGI's master runs no Python, and forks in C.
        _waiting.acquire()
        _thread.start_new_thread(_wait, ())


def _release_in_child() -> None:
    # A process that was forked in C has not acquired it: see `_native.forked_in_c`.
    if _starting.locked():
        _starting.release()


def start() -> bool:
    """Start health, unless it has started. Return True."""
    if _is_started or launch.environment is None:
        return True
    if _URI not in launch.environment:
        if "oslo_config.cfg" not in sys.modules:
            _say_missing()
        return True
    from .start import start as start_health

    start_health(launch.service())
    return True


def started() -> None:
    """Note that health is being started."""
    global _is_started
    _is_started = True
    if _waiting.locked():
        _waiting.release()


def _wait() -> None:
    """Start health when the program has run for a while, unless it has started before."""
    if _waiting.acquire(timeout=_WAIT):
        return
    if "oslo_config.cfg" in sys.modules and _waiting.acquire(timeout=_WAIT_FOR_CONFIGURATION - _WAIT):
        return
    with _starting:
        start()


def _can_read_configuration() -> bool:
    from importlib.util import find_spec

    return find_spec("oslo_config") is not None


def _say_missing() -> None:
    """Say, once, that no configuration names an endpoint."""
    global _is_missing_said
    if not _is_missing_said:
        _is_missing_said = True
        sys.stderr.write(
            "healthboard-run: the program runs without health: it does not use oslo.config, and"
            " HEALTHBOARD_URI is not set, such as to unix:///run/NAME/health.sock\n"
        )
