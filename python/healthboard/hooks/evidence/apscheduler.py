"""APScheduler 3: the runs of a recurring job are evidence for `job_NAME`, which is degrading.

The scheduler logs what a job raises and goes on. A job whose thread hangs, or whose executor has no free
thread, runs no more, and the scheduler says so in its log only: evidence counts for three intervals. All
three were provoked for real. A job that is paused or removed, or whose scheduler is, is not missed.
"""

from __future__ import annotations

import functools

from ... import Indicator, notices, refresher
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# For how many intervals an outcome counts, and for how many seconds at least.
INTERVALS = 3
MIN_TTL = 60.0

# How many jobs have an indicator. A board has room for 31 indicators.
MAX_JOBS = 8

# `apscheduler.events`: numbers that are part of its interface.
EXECUTED, ERROR = 2**12, 2**13

_indicators: dict[str, Indicator] = {}

# `apscheduler.schedulers.base.STATE_RUNNING`.
_RUNNING = 1

# The jobs that have run, and those that will not run again unless they are changed.
_known: set[str] = set()
_ended: set[str] = set()


def _indicator(job: Any) -> Indicator | None:
    name = str(job.name)
    _known.add(job.id)
    if name in _indicators or len(_indicators) >= MAX_JOBS:
        return _indicators.get(name)
    interval = _interval(job.trigger)
    if interval is None:
        return None
    ttl = max(INTERVALS * interval, MIN_TTL)
    indicator = _indicators[name] = Indicator(f"job_{name}", impact="degrading", ttl=ttl, stall_after=ttl)
    refresher.register(indicator, functools.partial(_excuse, job.id, job._scheduler))
    return indicator


def _excuse(job_id: str, scheduler: Any) -> None:
    """Succeed for a job that has ended. For other jobs only runs are evidence."""
    if job_id not in _ended and scheduler.state == _RUNNING:
        raise refresher.NotAsked


def _interval(trigger: Any) -> float | None:
    """Return the seconds between the next two runs; None for a job that runs once."""
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc)
    # The times may vary: a trigger can have a random delay.
    first = trigger.get_next_fire_time(None, now)
    second = trigger.get_next_fire_time(first, first) if first else None
    if second == first and first is not None:
        from datetime import timedelta

        second = trigger.get_next_fire_time(first, first + timedelta(seconds=1))
    return (second - first).total_seconds() if first and second else None


def _begin(job: Any) -> Any:
    with notices.suppress_errors("hook for apscheduler"):
        indicator = _indicator(job)
        return None if indicator is None else indicator.begin()
    return None


def _end(operation: Any, events: Any) -> None:
    with notices.suppress_errors("hook for apscheduler"):
        errors = [event for event in events if event.code == ERROR]
        if errors:
            operation.fail(errors[-1].exception)
        elif any(event.code == EXECUTED for event in events):
            operation.ok()
        else:
            # The job was too late and did not run.
            operation.end()


def _record(run_job: Any) -> Any:
    @functools.wraps(run_job)
    def wrapper(job: Any, *args: Any, **kwargs: Any) -> Any:
        operation = _begin(job)
        events = run_job(job, *args, **kwargs)
        if operation is not None:
            _end(operation, events)
        return events

    return wrapper


def _record_coroutine(run_job: Any) -> Any:
    @functools.wraps(run_job)
    async def wrapper(job: Any, *args: Any, **kwargs: Any) -> Any:
        operation = _begin(job)
        events = await run_job(job, *args, **kwargs)
        if operation is not None:
            _end(operation, events)
        return events

    return wrapper


def _after_change(job: Any, *_args: Any, **_kwargs: Any) -> None:
    # A job has no such attribute until its scheduler is started.
    if job is not None:
        is_paused = getattr(job, "next_run_time", job) is None
        (_ended.add if is_paused else _ended.discard)(job.id)


def _after_removal(_result: Any, _scheduler: Any, job_id: str, *_args: Any, **_kwargs: Any) -> None:
    _ended.add(job_id)


def _after_removal_of_all(*_args: Any, **_kwargs: Any) -> None:
    _ended.update(_known)


def _hook_runs(base: ModuleType) -> None:
    _patches.around(base, "run_job", _record)
    _patches.around(base, "run_coroutine_job", _record_coroutine, optional=True)


def _hook_scheduler(base: ModuleType) -> None:
    for name in ("add_job", "modify_job"):
        _patches.after(base, f"BaseScheduler.{name}", _after_change)
    _patches.after(base, "BaseScheduler.remove_job", _after_removal)
    _patches.after(base, "BaseScheduler.remove_all_jobs", _after_removal_of_all)


_patches = Patches({"apscheduler.executors.base": _hook_runs, "apscheduler.schedulers.base": _hook_scheduler})
install, uninstall = _patches.install, _patches.uninstall
