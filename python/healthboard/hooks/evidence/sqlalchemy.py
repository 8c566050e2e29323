"""SQLAlchemy: every statement is evidence for `database`, or for the database that it goes to.

The hook wraps the methods of an engine's dialect instead of listening to SQLAlchemy's events. A method begins
and ends in one place, so a hang in it shows. It raises what the driver raised. It is called also by an engine
that has never connected.

A statement that reads succeeds also where none that writes does. So while a server refuses writes, successes
are not recorded, and refresh tells when it takes them again.
"""

from __future__ import annotations

import functools
import sys
import weakref

from ... import classify, notices, progress, refresher
from ..patches import Patches
from . import databases
from .database_refresh import READ_ONLY, Database, ask
from .in_flight import in_flight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

# Methods whose successes and failures are evidence.
STATEMENTS = ("do_execute", "do_executemany", "do_execute_no_params")

# Methods of which only failures and hangs are evidence. A success proves nothing: SQLite connects to a file
# that no longer exists, and a commit may have nothing to write.
IN_FLIGHT_ONLY = ("connect", "do_commit", "_do_ping_w_event")

_databases: weakref.WeakKeyDictionary[Any, Database] = weakref.WeakKeyDictionary()


def watch(dialect: Any, arguments: tuple[Any, Any] | None, pool: Any = None) -> Database:
    """Record the operations of this dialect from now on. It connects with `arguments`, for `pool`."""
    database = _databases.get(dialect)
    if database is not None:
        database.set_connection_source(arguments, pool)
        return database
    name, is_configured = databases.name_of(dialect, arguments)
    is_async = bool(getattr(dialect, "is_async", False))
    indicator = databases.indicator(name, is_async=is_async)
    database = _databases[dialect] = Database(indicator, takes_writes=is_configured)
    database.set_connection_source(arguments, pool)
    _record_statements(dialect, database, successes=True)
    for name in IN_FLIGHT_ONLY:
        # Not every version of SQLAlchemy has the ping.
        if hasattr(dialect, name):
            judge = _judge_connect(dialect) if name == "connect" else classify.judge
            setattr(dialect, name, in_flight(indicator, judge, getattr(dialect, name)))
    if not databases.is_indirect and not is_async:
        # This keeps the newest dialect alive, since the service may drop an engine that could not connect.
        operation = functools.partial(_refresh, indicator.name, dialect)
        refresher.register(indicator, operation, database.judge)
    return database


def look_at_start() -> None:
    """Ask the databases that the configuration names once, in a worker that may have no request for hours."""
    # Not every service whose configuration names a database uses it. Those that do have this module.
    if databases.is_indirect or "oslo_db.sqlalchemy.enginefacade" not in sys.modules:
        return
    from sqlalchemy.engine import make_url

    for name, url in databases.configured().items():
        kind: Any = make_url(url).get_dialect()
        load = getattr(kind, "import_dbapi", None) or kind.dbapi
        dialect = kind(dbapi=load())
        indicator = databases.indicator(name, is_async=False)
        database = _databases[dialect] = Database(indicator, takes_writes=True)
        database.set_connection_source(dialect.create_connect_args(make_url(url)), None)
        operation = functools.partial(_refresh, name, dialect)
        refresher.register(indicator, operation, database.judge, at_start=True)


def _record_statements(dialect: Any, database: Database, *, successes: bool) -> None:
    judge = functools.partial(_judge, weakref.ref(dialect))
    for name in STATEMENTS:
        # Set on the object, since any class of the driver may define the method.
        recorded = getattr(dialect, name)
        original = recorded.__wrapped__ if name in vars(dialect) else recorded
        if successes:
            setattr(dialect, name, database.indicator.wrap(original, judge))
        else:
            setattr(dialect, name, in_flight(database.indicator, judge, original))
    database.records_successes = successes


def _judge(known_dialect: weakref.ref[Any], raised: BaseException) -> Any:
    found = classify.classify(raised)
    dialect = known_dialect()
    if found in READ_ONLY and dialect in _databases:
        _databases[dialect].require_writes()
        _record_statements(dialect, _databases[dialect], successes=False)
    return found.evidence


def _judge_connect(dialect: Any) -> Callable[[BaseException], Any]:
    """Judge what connecting has raised: any error of the driver means that it could not."""
    errors = getattr(dialect.dbapi, "Error", ())
    return lambda raised: False if isinstance(raised, errors) else classify.judge_connecting(raised)


def _refresh(name: str, newest: Any) -> None:
    same = [each for each in list(_databases.items()) if each[1].indicator.name == name]
    same.sort(key=lambda each: each[0] is newest)
    ask(same)
    for dialect, database in same:
        if not database.records_successes:
            _record_statements(dialect, database, successes=True)


def _on_do_connect(
    dialect: Any, record: Any = None, positional: Any = (), named: Any = None, *_: Any
) -> None:
    # SQLAlchemy calls this before each connection of each engine, and before it looks `connect` up.
    with notices.suppress_errors("hook for sqlalchemy"):
        # An event that passes the engine itself would slow down each statement.
        pool = getattr(record, "_ConnectionRecord__pool", None)
        if record is not None:
            watch(dialect, (positional, named or {}), pool)


def _record_wait(do_get: Any) -> Any:
    """Record how long an operation waits for a connection of the pool, and that none was free in time."""

    @functools.wraps(do_get)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        database = None
        with notices.suppress_errors("hook for sqlalchemy"):
            pool = args[0]
            database = None if pool.checkedin() else _databases.get(pool._dialect)
        if database is None:
            return do_get(*args, **kwargs)
        with database.indicator.begin(_judge_wait) as operation:
            result = do_get(*args, **kwargs)
            operation.end()
        return result

    return wrapper


def _judge_wait(raised: BaseException) -> Any:
    # Exceptions of connecting are recorded where `connect` is called.
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(raised).__mro__}
    return "by_work" if "sqlalchemy.exc.TimeoutError" in kinds else None


def _record_creator(create: Any) -> Any:
    """Record the connections of an engine for which a function of the service connects."""

    @functools.wraps(create)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = create(*args, **kwargs)
        with notices.suppress_errors("hook for sqlalchemy"):
            pool = args[0]
            dialect = pool._dialect
            # `do_connect` has not been called. The dialect of a pool without an engine has no `do_execute`.
            if dialect not in _databases and hasattr(dialect, "do_execute"):
                watch(dialect, None, pool)
        return result

    return wrapper


def _hook(sqlalchemy: ModuleType) -> None:
    from sqlalchemy import engine, event, pool

    listener: Callable[..., None] = _on_do_connect
    event.listen(engine.Engine, "do_connect", listener)
    _patches.around(pool.impl, "QueuePool._do_get", _record_wait)
    _patches.around(pool.base, "Pool._create_connection", _record_creator)
    progress.looks_at_start.append(look_at_start)


_patches = Patches({"sqlalchemy": _hook})
install = _patches.install


def uninstall() -> None:
    _patches.uninstall()
    if look_at_start in progress.looks_at_start:
        progress.looks_at_start.remove(look_at_start)
    if "sqlalchemy" in sys.modules:
        from sqlalchemy import engine, event

        listener: Callable[..., None] = _on_do_connect
        if event.contains(engine.Engine, "do_connect", listener):
            event.remove(engine.Engine, "do_connect", listener)
    for dialect in list(_databases):
        for name in (*STATEMENTS, *IN_FLIGHT_ONLY):
            vars(dialect).pop(name, None)
    _databases.clear()
