"""Hooks for libraries. Those in `evidence` record operations, those in `processes` follow forks and ends.

A hook waits until the service itself imports the library. Its wrappers pass arguments, results and exceptions
on unchanged. If a version of the library lacks a function, the hook skips it and logs that once.
"""

from __future__ import annotations

from importlib import import_module

from .. import notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

EVIDENCE = (
    "sqlalchemy",
    "oslo_messaging",
    "rpc_server",
    "amqp",
    "kombu",
    "looping_calls",
    "asyncio",
    "periodic_tasks",
    "nova",
    "nova_virt",
    "keystoneauth1",
    "redis",
    "requests",
    "httpx",
    "django",
    "apscheduler",
    "wsgi",
    "asgi",
    "uwsgi",
)


def names() -> list[str]:
    """Return the names of all hooks, as `disabled_hooks` takes them."""
    from .processes import TABLE

    return [*TABLE, *EVIDENCE]


def named(text: str) -> tuple[list[str], list[str]]:
    """Split a list of names at its commas. Return the names of hooks, and the others."""
    given = [name.strip() for name in text.split(",") if name.strip()]
    known = names()
    return [name for name in given if name in known], [name for name in given if name not in known]


def install(disabled: Collection[str] = ()) -> None:
    """Install all hooks except these."""
    for name in names():
        if name not in disabled:
            with notices.suppress_errors(f"hook for {name}"):
                _hook(name).install()


def uninstall(only: Collection[str] | None = None) -> None:
    """Uninstall these hooks, or all."""
    for name in names():
        if only is None or name in only:
            with notices.suppress_errors(f"hook for {name}"):
                _hook(name).uninstall()


def _hook(name: str) -> Any:
    if name in EVIDENCE:
        return import_module(f"{__name__}.evidence.{name}")
    from .processes import patches

    return patches(name)
