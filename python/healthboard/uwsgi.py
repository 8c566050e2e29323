"""uWSGI: its master imports the program and runs no Python afterwards. Its workers are forked in C."""

from __future__ import annotations

import sys

from . import imports, launch, notices, progress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def serves_no_requests() -> bool:
    """Tell whether this process is uWSGI's, but not a worker: the master, a spooler, a mule."""
    uwsgi = sys.modules.get("uwsgi")
    return uwsgi is not None and uwsgi.worker_id() == 0


def attach_in_workers() -> None:
    """Attach in each worker after its fork: it may record nothing for hours."""
    _add_post_fork_hook(sys.modules["uwsgi"])
    # `uwsgidecorators` replaces the hook by its own.
    imports.when_imported("uwsgidecorators", lambda _: _add_post_fork_hook(sys.modules["uwsgi"]))


def _add_post_fork_hook(uwsgi: Any) -> None:
    previous = getattr(uwsgi, "post_fork_hook", None)

    def post_fork_hook() -> None:
        with notices.suppress_errors("uWSGI worker"):
            launch.clear_environment()
            # A spooler or a mule may have nothing to do, and a reload kills it.
            if not serves_no_requests():
                progress.attach()
        if previous is not None:
            previous()

    uwsgi.post_fork_hook = post_fork_hook
