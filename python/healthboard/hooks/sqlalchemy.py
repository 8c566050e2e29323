"""SQLAlchemy: every statement is evidence for `database`, or for `api_database`, the other one of Nova.

The operations of an engine's dialect are recorded, not SQLAlchemy's events: they begin and end in one place,
so that a hang in any of them is seen, they raise what the driver raised, and they see the attempts of an
engine that never came up.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import weakref

from .. import Indicator, notices
from ..refresh import offer
from .flight import in_flight
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

# Evidence either way.
STATEMENTS = ("do_execute", "do_executemany", "do_execute_no_params")

# Their success proves nothing that the next statement does not: SQLite connects to a file that is gone, and
# commits nothing. But a failure is one, and a hang is one.
AROUND = ("connect", "do_commit", "_do_ping_w_event")

# Exceptions of every driver (PEP 249) by which the database says that it is there and does not like the
# statement.
ANSWERS = {"DataError", "IntegrityError", "NotSupportedError", "ProgrammingError"}

# MySQL: lock wait timeout, deadlock. PostgreSQL: serialization failure, deadlock, lock not available.
ANSWER_CODES = {1205, 1213, "40001", "40P01", "55P03"}

# Where the drivers' arguments say which database it is.
PLACE = ("host", "port", "unix_socket", "database", "dbname", "db")


class Watched:
    """What is known of an engine, by its dialect."""

    def __init__(self, indicator: Indicator, arguments: tuple[Any, Any], pool: Any) -> None:
        self.indicator = indicator
        # The connection that refresh has opened in each process. A parent's is neither used nor closed.
        self.kept: dict[int, Any] = {}
        self.connects(arguments, pool)

    def connects(self, arguments: tuple[Any, Any], pool: Any) -> None:
        """Note how the newest connection is made: with the newest password, for a pool of this process."""
        self.arguments = arguments
        self.pid = os.getpid()
        self.pool = None if pool is None else weakref.ref(pool)


_watched: weakref.WeakKeyDictionary[Any, Watched] = weakref.WeakKeyDictionary()


def judge(raised: BaseException) -> bool | None:
    """Tell what a driver's exception says of the database: False that it failed, True that it answered."""
    classes = {kind.__name__ for kind in type(raised).__mro__}
    code = raised.args[0] if raised.args else None
    state = getattr(raised, "sqlstate", None) or getattr(raised, "pgcode", None)
    if classes & ANSWERS or code in ANSWER_CODES or state in ANSWER_CODES or code == "database is locked":
        return True
    return False if "Error" in classes or isinstance(raised, OSError) else None


def watch(dialect: Any, arguments: tuple[Any, Any], pool: Any = None) -> None:
    """Record what this dialect does from now on; `arguments` are those it connects with, for this pool."""
    if dialect in _watched:
        _watched[dialect].connects(arguments, pool)
        return
    name = "api_database" if _is_api_database(dialect, arguments) else "database"
    # nova-compute reaches the databases through nova-conductor, and asks them at start at most.
    is_vital = "nova.cmd.compute" not in sys.modules
    indicator = Indicator(name) if is_vital else Indicator(name, impact="informational", ttl=0)
    _watched[dialect] = Watched(indicator, arguments, pool)
    for name in STATEMENTS:
        # On the dialect and not on its class: whichever class of a driver defines it.
        setattr(dialect, name, indicator.wrap(getattr(dialect, name), judge))
    for name in AROUND:
        # The ping is SQLAlchemy's own, and not there in all versions.
        if hasattr(dialect, name):
            setattr(dialect, name, in_flight(indicator, judge, getattr(dialect, name)))
    # An asynchronous one works in its own loop only.
    if is_vital and not getattr(dialect, "is_async", False):
        offer(indicator, functools.partial(_refresh, indicator.name, dialect))


def _refresh(name: str, _newest: Any, failing: bool) -> None:
    # The newest dialect is kept alive by who asks: an engine that never came up is gone.
    alike = [
        (watched, dialect) for dialect, watched in list(_watched.items()) if watched.indicator.name == name
    ]
    # All of this role, as Nova's cells are: one that is away is not forgotten for another. They are recorded
    # together, or between two of them nothing would be known of the one that is away.
    outcomes = [_outcome(watched, dialect, failing) for watched, dialect in alike]
    if any(outcome is None or judge(outcome) for outcome in outcomes):
        alike[0][0].indicator.record_ok()
    for outcome in outcomes:
        if outcome is not None and judge(outcome) is False:
            alike[0][0].indicator.record_fail(outcome)


def _outcome(watched: Watched, dialect: Any, failing: bool) -> Exception | None:
    operation = watched.indicator.begin()
    try:
        try:
            _ask(watched, dialect, failing)
        except Exception:
            if failing:
                raise
            # A connection that is gone says nothing of the next one, nor does a pool that has none left.
            _ask(watched, dialect, True)
    except Exception as error:
        return error
    finally:
        operation.end()
    return None


def _ask(watched: Watched, dialect: Any, failing: bool) -> None:
    # What a forked child finds in a pool that it has not used itself are connections of its parent.
    pool = None if watched.pool is None or watched.pid != os.getpid() else watched.pool()
    connection = watched.kept.pop(os.getpid(), None)
    if connection is not None and (failing or pool is not None):
        with contextlib.suppress(Exception):
            connection.close()
        connection = None
    if pool is not None and not failing:
        _ask_in(pool, dialect)
        return
    if connection is None:
        # The pool may be full of those that hang, and an engine that never connected is gone.
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
        watched.kept[os.getpid()] = connection
    else:
        connection.close()


def _ask_in(pool: Any, dialect: Any) -> None:
    connection = pool.connect()
    try:
        _select(dialect, connection)
    except Exception:
        # As SQLAlchemy does, with all that are as old: not for the service to find, nor for the next refresh.
        pool._invalidate(connection)
        raise
    connection.close()


def _select(dialect: Any, connection: Any) -> None:
    # SQLite reads no file for less.
    statement = "SELECT 1 FROM sqlite_master" if dialect.name == "sqlite" else "SELECT 1"
    # Not the one that is recorded.
    type(dialect).do_execute(dialect, connection.cursor(), statement, ())


def _is_api_database(dialect: Any, arguments: tuple[Any, Any]) -> bool:
    config: Any = sys.modules.get("oslo_config.cfg")
    try:
        from sqlalchemy.engine import make_url

        theirs = dialect.create_connect_args(make_url(config.CONF.api_database.connection))
        return bool(_place(theirs) == _place(arguments))
    except Exception:
        # No such option, or the URL of another driver.
        return False


def _place(arguments: Any) -> Any:
    positional, named = arguments
    return [*positional, *(named.get(name) for name in PLACE)]


def _watch(dialect: Any, record: Any = None, positional: Any = (), named: Any = None, *_: Any) -> None:
    # Before each connection of each engine, and before `connect` is looked up.
    with notices.swallowed("hook for sqlalchemy"):
        # An event that gives the engine itself would have each statement look for listeners.
        pool = getattr(record, "_ConnectionRecord__pool", None)
        watch(dialect, (positional, named or {}), pool)


def _hook(sqlalchemy: ModuleType) -> None:
    from sqlalchemy import engine, event

    listener: Callable[..., None] = _watch
    event.listen(engine.Engine, "do_connect", listener)


_patches = Patches({"sqlalchemy": _hook})
install = _patches.install


def uninstall() -> None:
    _patches.uninstall()
    if "sqlalchemy" in sys.modules:
        from sqlalchemy import engine, event

        listener: Callable[..., None] = _watch
        if event.contains(engine.Engine, "do_connect", listener):
            event.remove(engine.Engine, "do_connect", listener)
    for dialect in list(_watched):
        for name in (*STATEMENTS, *AROUND):
            vars(dialect).pop(name, None)
    _watched.clear()
