"""Databases, except Django's: `database`, `api_database` by the configuration, or `database_SCHEMA`.

A database that the configuration names has the name of the option's group. If no group is `database`, the
first other database is. Any other, such as that of one of several cells, has the name of its schema, and is
degrading.
"""

from __future__ import annotations

import contextlib
import os
import sys

from ... import Indicator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The drivers' arguments that identify a database.
_LOCATION_ARGUMENTS = ("host", "port", "unix_socket", "database", "dbname", "db")

# Whether the service reaches its databases through another service. It uses them itself at most at its start.
is_indirect = False

# The location of each database that has a name.
_known: dict[str, Any] = {}


def name_of(dialect: Any, arguments: Any) -> tuple[str, bool]:
    """Return the name of the indicator, and whether the configuration names the database.

    `arguments` are those that the driver connects with; None if a function of the service connects.
    """
    here = None if arguments is None else _location(arguments)
    locations = _locations(dialect)
    groups = [group for group, location in locations.items() if here is not None and location == here]
    if groups:
        return ("database" if "database" in groups else groups[0]), True
    if "database" not in locations and _known.setdefault("database", here) == here:
        return "database", False
    schema = os.path.basename(str(_first(arguments, "database", "dbname", "db") or dialect.name))
    name = f"database_{schema}"
    if _known.setdefault(name, here) != here:
        name = f"{name}_{_first(arguments, 'host', 'unix_socket') or len(_known)}"
    return name, False


def configured() -> dict[str, str]:
    """Return the URL of each database that the configuration names, by the name of its group."""
    if "oslo_config.cfg" not in sys.modules:
        return {}
    from ...oslo import opts

    conf, found = opts.configuration(), {}
    if "oslo_db.options" in sys.modules:
        # oslo.db registers its options at the first use of the database, which may be hours away. They must
        # not be registered here, since another thread of the service could be reading the group.
        with contextlib.suppress(Exception):
            url = opts.unregistered(conf, "database", ["connection"]).get("connection")
            if url and isinstance(url, str):
                found["database"] = url
    for name in conf:
        # Some names are options rather than groups, and the values of some options cannot be read.
        with contextlib.suppress(Exception):
            group = conf[name]
            if "connection" in group and isinstance(group.connection, str) and group.connection:
                found[name] = group.connection
    return found


def indicator(name: str, *, is_async: bool) -> Indicator:
    """Return the indicator of this name."""
    if is_indirect:
        return Indicator(name, impact="informational", ttl=0)
    # An asynchronous engine works in its event loop and cannot be refreshed from here, so its evidence does
    # not become stale.
    ttl = 0 if is_async else None
    if name.startswith("database_"):
        return Indicator(name, impact="degrading", ttl=ttl)
    return Indicator(name, ttl=ttl)


def _locations(dialect: Any) -> dict[str, Any]:
    """Return where the configuration's databases are, by the names of their groups."""
    found = {}
    for name, url in configured().items():
        # It may be the URL of another driver.
        with contextlib.suppress(Exception):
            from sqlalchemy.engine import make_url

            found[name] = _location(dialect.create_connect_args(make_url(url)))
    return found


def _location(arguments: Any) -> Any:
    positional, named = arguments
    return [*positional, *(named.get(name) for name in _LOCATION_ARGUMENTS)]


def _first(arguments: Any, *names: str) -> Any:
    if arguments is None:
        return None
    positional, named = arguments
    values = (named.get(name) for name in names)
    return next((value for value in values if value), positional[0] if positional else None)
