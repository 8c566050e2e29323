"""SQLAlchemy: every statement is evidence for `database` or, in Nova, for `api_database`.

The hook wraps the methods of an engine's dialect instead of listening to SQLAlchemy's events. A method begins
and ends in one place, so a hang in it shows. It raises what the driver raised. It is called also by an engine
that has never connected.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import weakref

from ... import Indicator, notices, threads
from ...refresher import register
from ..patches import Patches
from .in_flight import in_flight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

# Their successes and failures are both evidence.
STATEMENTS = ("do_execute", "do_executemany", "do_execute_no_params")

# Only their failures and hangs are evidence. Success proves nothing: SQLite connects to a file that is gone,
# and a commit may have nothing to write.
IN_FLIGHT_ONLY = ("connect", "do_commit", "_do_ping_w_event")

# Exception classes of every driver (PEP 249) that come from a working database: it refused the statement.
ANSWER_CLASSES = {"DataError", "IntegrityError", "NotSupportedError", "ProgrammingError"}

# Error codes that come from a working database. MySQL: lock wait timeout, deadlock. PostgreSQL: serialization
# failure, deadlock, lock not available.
ANSWER_CODES = {1205, 1213, "40001", "40P01", "55P03"}

# The drivers' arguments that identify a database.
LOCATION_ARGUMENTS = ("host", "port", "unix_socket", "database", "dbname", "db")


class Watched:
    """What the hook knows of an engine, which it identifies by its dialect."""

    def __init__(self, indicator: Indicator, arguments: tuple[Any, Any], pool: Any) -> None:
        self.indicator = indicator
        # The refresh's own connection, by pid. A child neither uses nor closes its parent's.
        self.refresh_connections: dict[int, Any] = {}
        self.set_connection_source(arguments, pool)

    def set_connection_source(self, arguments: tuple[Any, Any], pool: Any) -> None:
        """Note the arguments and the pool of the newest connection: both can change."""
        self.arguments = arguments
        self.pid = os.getpid()
        self.pool = None if pool is None else weakref.ref(pool)


_watched: weakref.WeakKeyDictionary[Any, Watched] = weakref.WeakKeyDictionary()


def judge(raised: BaseException) -> bool | None:
    """Judge an exception of a driver: False if the database failed, True if it answered."""
    classes = {kind.__name__ for kind in type(raised).__mro__}
    code = raised.args[0] if raised.args else None
    state = getattr(raised, "sqlstate", None) or getattr(raised, "pgcode", None)
    if (
        classes & ANSWER_CLASSES
        or code in ANSWER_CODES
        or state in ANSWER_CODES
        or code == "database is locked"
    ):
        return True
    return False if "Error" in classes or isinstance(raised, OSError) else None


def watch(dialect: Any, arguments: tuple[Any, Any], pool: Any = None) -> None:
    """Record the operations of this dialect from now on. It connects with `arguments`, for `pool`."""
    if dialect in _watched:
        _watched[dialect].set_connection_source(arguments, pool)
        return
    name = "api_database" if _is_api_database(dialect, arguments) else "database"
    # nova-compute reaches the databases through nova-conductor. It uses them directly at its start at most.
    is_critical = "nova.cmd.compute" not in sys.modules
    indicator = Indicator(name) if is_critical else Indicator(name, impact="informational", ttl=0)
    _watched[dialect] = Watched(indicator, arguments, pool)
    for name in STATEMENTS:
        # On the object: any class of a driver may define the method.
        setattr(dialect, name, indicator.wrap(getattr(dialect, name), judge))
    for name in IN_FLIGHT_ONLY:
        # Not every version of SQLAlchemy has the ping.
        if hasattr(dialect, name):
            setattr(dialect, name, in_flight(indicator, judge, getattr(dialect, name)))
    # An asynchronous dialect works in its own event loop only.
    if is_critical and not getattr(dialect, "is_async", False):
        register(indicator, functools.partial(_refresh, indicator, dialect), judge)


def _refresh(indicator: Indicator, _newest: Any) -> None:
    # `_newest` keeps the newest dialect alive: the service drops an engine that could not connect.
    must_reconnect = threads.are_native_beside_green() or indicator.failures() > 0
    # Several databases may share an indicator, as Nova's cells do. The failure of one is raised.
    failure = None
    for dialect, watched in list(_watched.items()):
        if watched.indicator.name == indicator.name:
            try:
                _refresh_one(watched, dialect, must_reconnect)
            except Exception as raised:
                failure = raised
    if failure is not None:
        raise failure


def _refresh_one(watched: Watched, dialect: Any, must_reconnect: bool) -> None:
    try:
        _query(watched, dialect, must_reconnect)
    except Exception:
        if must_reconnect:
            raise
        # The connection may have been lost earlier, or the pool may be exhausted. A new connection tells.
        _query(watched, dialect, must_reconnect=True)


def _query(watched: Watched, dialect: Any, must_reconnect: bool) -> None:
    # A pool that this process has not used may hold connections of its parent.
    pool = None if watched.pool is None or watched.pid != os.getpid() else watched.pool()
    connection = watched.refresh_connections.pop(os.getpid(), None)
    if connection is not None and (must_reconnect or pool is not None):
        with contextlib.suppress(Exception):
            connection.close()
        connection = None
    if pool is not None and not must_reconnect:
        _query_through_pool(pool, dialect)
        return
    if connection is None:
        # Not through the pool: it may be full of connections that hang, or gone with its engine.
        positional, named = watched.arguments
        connection = type(dialect).connect(dialect, *positional, **named)
    try:
        _select(dialect, connection)
        # The statement may have begun a transaction.
        dialect.do_rollback(connection)
    except Exception:
        connection.close()
        raise
    if pool is None:
        watched.refresh_connections[os.getpid()] = connection
    else:
        connection.close()


def _query_through_pool(pool: Any, dialect: Any) -> None:
    connection = pool.connect()
    try:
        _select(dialect, connection)
    except Exception:
        # As SQLAlchemy does: this invalidates all connections that are as old, for the service and for us.
        pool._invalidate(connection)
        raise
    connection.close()


def _select(dialect: Any, connection: Any) -> None:
    # SQLite does not read its file for `SELECT 1`.
    statement = "SELECT 1 FROM sqlite_master" if dialect.name == "sqlite" else "SELECT 1"
    # The method of the class, which is not recorded.
    type(dialect).do_execute(dialect, connection.cursor(), statement, ())


def _is_api_database(dialect: Any, arguments: tuple[Any, Any]) -> bool:
    config: Any = sys.modules.get("oslo_config.cfg")
    try:
        from sqlalchemy.engine import make_url

        api_arguments = dialect.create_connect_args(make_url(config.CONF.api_database.connection))
        return bool(_location(api_arguments) == _location(arguments))
    except Exception:
        # There is no such option, or its URL is for another driver.
        return False


def _location(arguments: Any) -> Any:
    positional, named = arguments
    return [*positional, *(named.get(name) for name in LOCATION_ARGUMENTS)]


def _on_do_connect(
    dialect: Any, record: Any = None, positional: Any = (), named: Any = None, *_: Any
) -> None:
    # SQLAlchemy calls this before each connection of each engine, and before it looks `connect` up.
    with notices.suppress_errors("hook for sqlalchemy"):
        # An event that passes the engine itself would slow down each statement.
        pool = getattr(record, "_ConnectionRecord__pool", None)
        watch(dialect, (positional, named or {}), pool)


def _hook(sqlalchemy: ModuleType) -> None:
    from sqlalchemy import engine, event

    listener: Callable[..., None] = _on_do_connect
    event.listen(engine.Engine, "do_connect", listener)


_patches = Patches({"sqlalchemy": _hook})
install = _patches.install


def uninstall() -> None:
    _patches.uninstall()
    if "sqlalchemy" in sys.modules:
        from sqlalchemy import engine, event

        listener: Callable[..., None] = _on_do_connect
        if event.contains(engine.Engine, "do_connect", listener):
            event.remove(engine.Engine, "do_connect", listener)
    for dialect in list(_watched):
        for name in (*STATEMENTS, *IN_FLIGHT_ONLY):
            vars(dialect).pop(name, None)
    _watched.clear()
