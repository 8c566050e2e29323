"""Asking a database, through a connection of its engine's pool or a connection of healthboard's own.

The question is one small statement that changes nothing. It opens a table of the service for writing. A
server that takes no writes, is locked for a backup, or has lost its cluster refuses it or does not answer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref

from ... import classify, threads
from ...refresher import NotAsked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ... import Indicator

# No row matches, so nothing is changed, locked or replicated.
_WRITE = "UPDATE {table} SET {column} = {column} WHERE 1 = 0"
_READ = "SELECT 1 FROM {table} WHERE 1 = 0"

_TABLE = (
    "SELECT table_name FROM information_schema.tables WHERE table_schema = {schema}"
    " AND table_type = 'BASE TABLE' ORDER BY table_name <> 'alembic_version', table_name LIMIT 1"
)
_COLUMN = (
    "SELECT column_name FROM information_schema.columns WHERE table_schema = {schema}"
    " AND table_name = '{table}' AND COALESCE(generation_expression, '') = ''"
    " ORDER BY ordinal_position LIMIT 1"
)

# An empty file has this table as well.
_SQLITE = "SELECT 1 FROM sqlite_master WHERE 1 = 0"
_SQLITE_TABLE = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    " AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name <> 'alembic_version', name LIMIT 1"
)

# By the dialect's name: the function that names the current schema, and the quote of identifiers.
_SCHEMAS = {
    "mysql": ("DATABASE()", "`"),
    "mariadb": ("DATABASE()", "`"),
    "postgresql": ("CURRENT_SCHEMA()", '"'),
}

# The findings of a server that takes no writes.
READ_ONLY = (classify.mysql.READ_ONLY, classify.postgresql.READ_ONLY)


class Database:
    """What the hook knows of the database of one engine."""

    def __init__(self, indicator: Indicator, *, takes_writes: bool) -> None:
        self.indicator = indicator
        # A database that has never taken a write counts as a replica, unless the configuration names it.
        self.takes_writes = takes_writes
        self.statement: str | None = None
        # Whether SQLite's file has had a table.
        self._has_tables = False
        # Whether successes of statements are recorded. They prove nothing while the server refuses writes.
        self.records_successes = True
        # Whether an attempt to connect is in progress or has failed.
        self.is_connecting = False
        self.set_connection_source(None, None)
        # healthboard's own connection, by pid. A child neither uses nor closes its parent's.
        self._own: dict[int, Any] = {}

    def set_connection_source(self, arguments: Any, pool: Any) -> None:
        """Note the driver's arguments and the pool of the newest connection: both can change."""
        self._arguments = arguments
        self._pid = os.getpid()
        self._pool = None if pool is None else weakref.ref(pool)

    def judge(self, raised: BaseException) -> Any:
        """Judge an exception of `ask`."""
        connecting, self.is_connecting = self.is_connecting, False
        return False if connecting else classify.judge(raised)

    def require_writes(self) -> None:
        """Note that the service writes here."""
        self.takes_writes = True
        self.statement = None

    @property
    def pool(self) -> Any:
        """The engine's pool, unless it may hold connections of a parent."""
        return None if self._pool is None or self._pid != os.getpid() else self._pool()

    def has_idle_connection(self) -> bool:
        """Tell whether the pool can give a connection without waiting and without making one."""
        count = getattr(self.pool, "checkedin", None)
        return count is not None and count() > 0

    def is_in_use(self) -> bool:
        """Tell whether the service has a connection of the pool."""
        count = getattr(self.pool, "checkedout", None)
        return count is not None and count() > 0

    def ask_through_pool(self, dialect: Any) -> bool:
        """Ask over an idle connection of the pool. Return False if that connection was lost."""
        self._close_own()
        pool = self.pool
        connection = pool.connect()
        try:
            self._ask(dialect, connection.dbapi_connection)
        except Exception as raised:
            # Return it to the pool only if it can be reset, since the pool would log a failure to reset.
            if dialect.is_disconnect(raised, connection.dbapi_connection, None):
                # As SQLAlchemy does, this invalidates all connections of the pool that are as old or older.
                pool._invalidate(connection, raised)
                return False
            try:
                dialect.do_rollback(connection.dbapi_connection)
            except Exception:
                connection.invalidate(raised)
            else:
                connection.close()
            raise
        connection.close()
        return True

    def ask_directly(self, dialect: Any) -> None:
        """Ask over healthboard's own connection.

        It is kept, unless it is one to a file of SQLite: the file may have been removed.
        """
        kept = self._own.get(os.getpid())
        if kept is not None:
            try:
                self._ask_and_roll_back(dialect, kept)
            except Exception as raised:
                self._close_own()
                if not dialect.is_disconnect(raised, kept, None):
                    raise
            else:
                return
        self.is_connecting = True
        connection = self._connect(dialect)
        self.is_connecting = False
        try:
            self._ask_and_roll_back(dialect, connection)
        except Exception:
            with contextlib.suppress(Exception):
                connection.close()
            raise
        if self._file(dialect) is None:
            self._own[os.getpid()] = connection
        else:
            connection.close()

    def _file(self, dialect: Any) -> str | None:
        """The path of SQLite's file, unless it is in memory or unknown."""
        if dialect.name != "sqlite" or self._arguments is None:
            return None
        path = next(iter(self._arguments[0]), "")
        return path if isinstance(path, str) and not path.startswith(("file:", ":")) and path else None

    def _connect(self, dialect: Any) -> Any:
        file = self._file(dialect)
        # SQLite would make an empty one.
        if self._has_tables and file is not None and not os.path.exists(file):
            raise _missing(file)
        if self._arguments is None:
            pool = self.pool
            if pool is None:
                self.is_connecting = False
                raise NotAsked
            return pool._invoke_creator(None)
        positional, named = self._arguments
        # The method of the class, which is not recorded.
        return type(dialect).connect(dialect, *positional, **named)

    def _close_own(self) -> None:
        connection = self._own.pop(os.getpid(), None)
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()

    def _ask_and_roll_back(self, dialect: Any, connection: Any) -> None:
        self._ask(dialect, connection)
        # The statement may have begun a transaction.
        dialect.do_rollback(connection)

    def _choose(self, dialect: Any, connection: Any) -> str:
        file = self._file(dialect)
        statement = _statement(dialect, connection, file is not None)
        if file is not None and self._has_tables and os.path.getsize(file) == 0:
            # Somebody has made an empty one in its place.
            self.is_connecting = True
            raise _missing(file)
        self._has_tables = statement != _SQLITE
        return statement

    def _ask(self, dialect: Any, connection: Any) -> None:
        if self.statement is None:
            self.statement = self._choose(dialect, connection)
        try:
            _execute(dialect, connection, self.statement)
        except Exception as raised:
            found = classify.classify(raised)
            may_write = self.statement.startswith("UPDATE")
            is_replica = found in READ_ONLY and not self.takes_writes
            if not may_write or not (is_replica or found is classify.finding.NO_PRIVILEGE):
                # The table may no longer exist, so the next refresh chooses the statement again.
                self.statement = None
                raise
            # The service only reads here.
            table = self.statement.split(" SET ")[0].removeprefix("UPDATE ")
            dialect.do_rollback(connection)
            _execute(dialect, connection, _READ.format(table=table))
            self.statement = _READ.format(table=table)
        else:
            self.takes_writes |= self.statement.startswith("UPDATE")


def ask(databases: list[tuple[Any, Database]]) -> None:
    """Ask the database that these engines share. Each comes with its dialect, the preferred one last."""
    if not threads.are_native_beside_green():
        for dialect, database in databases:
            if database.has_idle_connection() and database.ask_through_pool(dialect):
                return
    dialect, database = databases[-1]
    try:
        database.ask_directly(dialect)
    except Exception as raised:
        has_others = any(database.is_in_use() for _, database in databases)
        if has_others and classify.classify(raised) is classify.finding.NO_CONNECTION_LEFT:
            # The service holds the connections that it needs.
            database.is_connecting = False
            raise NotAsked from raised
        raise


def _statement(dialect: Any, connection: Any, is_file: bool) -> str:
    """Choose the statement, depending on the tables that exist."""
    if dialect.name == "sqlite":
        # `SELECT 1` does not read the file. A write would lock it for the service as well.
        table = _execute(dialect, connection, _SQLITE_TABLE) if is_file else None
        return _SQLITE if table is None else _READ.format(table='"' + table.replace('"', '""') + '"')
    if dialect.name not in _SCHEMAS:
        return str(getattr(dialect, "_dialect_specific_select_one", "SELECT 1"))
    schema, quote = _SCHEMAS[dialect.name]
    table = _execute(dialect, connection, _TABLE.format(schema=schema))
    if table is None:
        return "SELECT 1"
    text = table.replace("\\", "\\\\").replace("'", "''").replace("%", "%%")
    column = _execute(dialect, connection, _COLUMN.format(schema=schema, table=text))
    quoted = [f"{quote}{name.replace(quote, quote * 2)}{quote}" for name in (table, column or "")]
    return (_READ if column is None else _WRITE).format(table=quoted[0], column=quoted[1]).replace("%", "%%")


def _missing(file: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), file)


def _execute(dialect: Any, connection: Any, statement: str) -> Any:
    """Execute a statement. Return the first column of its first row, if it has rows."""
    cursor = connection.cursor()
    try:
        # The method of the class, which is not recorded.
        type(dialect).do_execute(dialect, cursor, statement, ())
        row = cursor.fetchone() if cursor.description else None
    finally:
        cursor.close()
    value = row[0] if row else None
    return value.decode() if isinstance(value, bytes) else value
