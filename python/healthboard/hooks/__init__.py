"""One module for each hooked library, each with `install` and `uninstall`.

A hook waits until the service itself imports the library. Its wrappers pass arguments, results and exceptions
on unchanged. If a version of the library lacks a function, the hook skips it and logs that once.
"""

from __future__ import annotations

from importlib import import_module

from .. import notices

NAMES = (
    "os_exit",
    "oslo_config",
    "oslo_log",
    "sqlalchemy",
    "oslo_messaging",
    "amqp",
    "oslo_service",
    "cotyledon",
    "gunicorn",
    "websockify",
    "nova",
    "nova_virt",
    "keystoneauth1",
    "paste_deploy",
)


def install() -> None:
    """Install all hooks."""
    for name in NAMES:
        with notices.suppress_errors(f"hook for {name}"):
            import_module(f"{__name__}.{name}").install()


def uninstall() -> None:
    """Uninstall all hooks."""
    for name in NAMES:
        with notices.suppress_errors(f"hook for {name}"):
            import_module(f"{__name__}.{name}").uninstall()
