"""Django: every statement of its own backends is evidence for `database`, the alias `default`,
or for `database_ALIAS`, another alias.

Django raises an exception of its own whose cause is
the driver's. A server that is frozen raises only where OPTIONS has a timeout. Of servers that were killed,
frozen and made read-only, all errors were provoked for real.

A connection belongs to a thread, so a refresh has one of its own. The question is that of SQLAlchemy's hook.
A database that the settings name is asked once at the start of a worker.
"""

from __future__ import annotations

import contextlib
import functools
import sys
import weakref

from ... import Indicator, classify, notices, progress
from ...refresher import register
from ..patches import Patches
from .database_refresh import READ_ONLY, Database, ask
from .in_flight import in_flight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

DEFAULT = "default"

_databases: dict[str, _Database] = {}


class _Database(Database):
    """The database of one alias."""

    def __init__(self, alias: str, dialect: _Dialect) -> None:
        if alias == DEFAULT:
            indicator = Indicator("database")
        else:
            indicator = Indicator(f"database_{alias}", impact="degrading")
        super().__init__(indicator, takes_writes=False)
        self.set_connection_source(((), {}), None)
        self.connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self.dialect = dialect

    def is_in_use(self) -> bool:
        return any(each.connection is not None for each in list(self.connections))

    def judge_statement(self, raised: BaseException) -> Any:
        found = classify.classify(raised)
        if found in READ_ONLY:
            self.require_writes()
            self.records_successes = False
        return None if found.evidence is True and not self.records_successes else found.evidence

    def refresh(self) -> None:
        ask([(self.dialect, self)])
        self.records_successes = True


class _Dialect:
    """What `database_refresh` needs to know of a backend."""

    def __init__(self, wrapper: Any) -> None:
        # A copy that no other thread uses. It has no pool, since a pool's connections are for the service.
        self._wrapper = wrapper.copy()
        with contextlib.suppress(Exception):
            self._wrapper.settings_dict["OPTIONS"].pop("pool", None)
        self.name = wrapper.vendor

    def connect(self) -> Any:
        return self._wrapper.get_new_connection(self._wrapper.get_connection_params())

    def do_execute(self, cursor: Any, statement: str, arguments: Any) -> None:
        cursor.execute(statement, arguments)

    def do_rollback(self, connection: Any) -> None:
        connection.rollback()

    def is_disconnect(self, raised: BaseException, _connection: Any, _cursor: Any) -> bool:
        return classify.judge(raised) is False


def _database_of(wrapper: Any, *, at_start: bool = False) -> _Database | None:
    database = _databases.get(wrapper.alias)
    if database is None and wrapper.vendor != "unknown":
        with notices.suppress_errors("hook for django"):
            database = _databases[wrapper.alias] = _Database(wrapper.alias, _Dialect(wrapper))
            register(database.indicator, database.refresh, database.judge, at_start=at_start)
    return database


def look_at_start() -> None:
    """Ask the databases that the settings name once, in a worker that may have no request for hours."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    if "django.db" not in sys.modules or not getattr(settings, "configured", False):
        return
    connections = sys.modules["django.db"].connections
    for alias in connections:
        wrapper = connections.create_connection(alias)
        # To connect to SQLite creates a file.
        if wrapper.vendor != "sqlite":
            _database_of(wrapper, at_start=True)


def _record(execute: Any) -> Any:
    @functools.wraps(execute)
    def wrapper(cursor: Any, *args: Any, **kwargs: Any) -> Any:
        database = _database_of(cursor.db)
        if database is None:
            return execute(cursor, *args, **kwargs)
        with database.indicator.begin(database.judge_statement) as operation:
            result = execute(cursor, *args, **kwargs)
            if not database.records_successes:
                operation.end()
        return result

    return wrapper


def _record_in_flight(function: Any) -> Any:
    """Record hangs and failures. A success proves nothing: a commit may have nothing to write."""

    @functools.wraps(function)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        database = _database_of(self)
        if database is None:
            return function(self, *args, **kwargs)
        database.connections.add(self)
        judge = _judge_connect(self) if function.__name__ == "connect" else database.judge_statement
        return in_flight(database.indicator, judge, function)(self, *args, **kwargs)

    return wrapper


def _judge_connect(wrapper: Any) -> Any:
    # Any error of the driver means that it could not connect.
    errors = getattr(wrapper.Database, "Error", ())
    return lambda raised: False if isinstance(raised, errors) else classify.judge_connecting(raised)


def _hook_cursor(utils: ModuleType) -> None:
    _patches.around(utils, "CursorWrapper._execute", _record)
    _patches.around(utils, "CursorWrapper._executemany", _record)
    progress.looks_at_start.append(look_at_start)


def _hook_connection(base: ModuleType) -> None:
    _patches.around(base, "BaseDatabaseWrapper.connect", _record_in_flight)
    _patches.around(base, "BaseDatabaseWrapper._commit", _record_in_flight)


_patches = Patches(
    {"django.db.backends.utils": _hook_cursor, "django.db.backends.base.base": _hook_connection}
)
install = _patches.install


def uninstall() -> None:
    _patches.uninstall()
    if look_at_start in progress.looks_at_start:
        progress.looks_at_start.remove(look_at_start)
