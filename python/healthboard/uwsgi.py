"""uWSGI: its master imports the program and from then on runs no Python; its workers are forked in C."""

from __future__ import annotations

import sys

from . import imports, launch, notices, progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_beside() -> bool:
    """Tell whether this process answers no requests: the master that forks the workers, a spooler, a mule."""
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is not None and uwsgi.worker_id() == 0


def attach_in_workers() -> None:
    """Begin in each worker, which may have nothing to record for hours."""
    _chain(sys.modules["uwsgi"])
    # It puts a hook of its own in the place of any other.
    imports.when_imported("uwsgidecorators", lambda _: _chain(sys.modules["uwsgi"]))


def _chain(uwsgi: Any) -> None:
    before = getattr(uwsgi, "post_fork_hook", None)

    def post_fork_hook() -> None:
        with notices.swallowed("uWSGI worker"):
            launch.forget()
            # Not in a spooler or a mule, which may do nothing, and which a reload kills.
            if not is_beside():
                progress.attach()
        if before is not None:
            before()

    uwsgi.post_fork_hook = post_fork_hook
