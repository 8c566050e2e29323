"""One small module for each library whose operations are recorded, each with `install` and `uninstall`.

Each waits until the service itself imports the library. What it replaces is passed on as it came, arguments,
results and exceptions; a function that is missing in a version of the library is left out, and the log says
so once.
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
        with notices.swallowed(f"hook for {name}"):
            import_module(f"{__name__}.{name}").install()


def uninstall() -> None:
    """Put everything back as it was."""
    for name in NAMES:
        with notices.swallowed(f"hook for {name}"):
            import_module(f"{__name__}.{name}").uninstall()
