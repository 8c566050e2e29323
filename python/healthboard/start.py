"""Starting health."""

from __future__ import annotations

import os

from . import _native, launch, notices, progress, uwsgi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def start(
    service: str,
    options: Mapping[str, str] | None = None,
    *,
    host: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[str]:
    """Start health for this process and all that it forks, if `options` name an endpoint.

    `options` are those of the group `[healthcheck]`, as text; "database.ttl" is `ttl` in
    `[healthcheck:database]`. Variables `HEALTHBOARD_…` of `environment`, by default the process's own, win.
    `host` is what `{host}` in `uri` stands for.

    A value that is no good changes nothing. The answer, one message for each, says which option, what was
    found and what would be right; the service's log says so too. The first call counts.
    """
    if environment is None:
        # `healthboard-run` has taken ours out of the process's.
        environment = os.environ if launch.environment is None else launch.environment
    forks = uwsgi.is_beside()
    if not forks:
        launch.forget()
    problems = _native.start(
        service,
        host,
        {name: str(value) for name, value in (options or {}).items()},
        {name: value for name, value in environment.items() if name.startswith("HEALTHBOARD_")},
        progress.begin,
        not forks,
    )
    if forks:
        uwsgi.attach_in_workers()
    for problem in problems:
        notices.say(problem)
    return problems
