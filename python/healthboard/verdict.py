"""The verdict on the whole service, for health checks at the service's own port."""

from __future__ import annotations

from typing import NamedTuple

from . import _native, launch, notices


class Verdict(NamedTuple):
    """The answer of a health check at the service's own port."""

    # Whether requests can be sent to the service.
    available: bool
    # One line. It begins with `healthboard: `, so that an answer without healthboard can be recognised.
    reason: str
    # The state of each indicator.
    details: str


def verdict() -> Verdict:
    """Return the verdict on the whole service, from the boards of all its processes. Raises nothing.

    Without health in this process nothing is known, and the service counts as available. The reason and a
    line in the log say so.
    """
    why = "of an internal error"
    with notices.suppress_errors("verdict"):
        found = _native.verdict()
        if found is not None:
            return Verdict(*found)
        why = _why_off()
        notices.warn_once("verdict", f"health checks at the service's own port know nothing, because {why}")
        notices.flush(now=True)
    return Verdict(True, f"healthboard: UNKNOWN, because {why}", "")


def _why_off() -> str:
    if launch.started_with.get("HEALTHBOARD_URI"):
        return "health could not be started in this process; its log says why"
    if launch.started_with or launch.environment is not None:
        return "health is off: `uri` in [healthcheck] names no endpoint"
    return "health is off: the service was not started with healthboard-run"
