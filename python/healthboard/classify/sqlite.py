"""SQLite: sqlite3 (also in aiosqlite)

The result code decides. Python 3.10 does not give it: there, SQLite's own words do. An exception without
either comes from the module itself and says nothing.
"""

from __future__ import annotations

from .finding import Entry, Finding, answered, by_key, entries, read, text, unavailable, unknown

ERROR = 1

NO_TABLE = unknown("a missing table: a check whether it exists, or a file that is gone and was created anew")
MODULE = unknown("the module's own: a closed cursor or connection, a wrong number of values")

RESULTS = (
    (unavailable("the file cannot be opened or read"), (3, 14, 22, 26)),
    (unavailable("the file or its folder cannot be written"), (8,)),
    (unavailable("the disk is full", by_work=True), (13,)),
    (unavailable("the disk or the file is damaged", by_work=True), (10, 11)),
    (unavailable("no memory is left"), (7,)),
    (unknown("a lock was not free in time: another connection holds it"), (5, 6, 15)),
    (unknown("cut short, or used in the wrong order"), (2, 4, 9, 21)),
    (answered("a statement that is wrong or unlucky"), (ERROR, 12, 16, 17, 18, 19, 20, 23, 25)),
)

# What the readers below decide by more than the result, for the documentation.
CASES = ((NO_TABLE, ("no such table",)),)

WORDS = {
    "database is locked": 5,
    "database table is locked": 6,
    "out of memory": 7,
    "attempt to write a readonly database": 8,
    "interrupted": 9,
    "disk I/O error": 10,
    "database disk image is malformed": 11,
    "database or disk is full": 13,
    "unable to open database file": 14,
    "locking protocol": 15,
    "file is not a database": 26,
}

_results = by_key(RESULTS)


def by_result(raised: BaseException) -> Finding | None:
    """By the result code, whose low byte is the kind of the error."""
    code = read(raised, "sqlite_errorcode")
    words = text(raised)
    if not isinstance(code, int):
        code = WORDS.get(words)
    return NO_TABLE if "no such table" in words else None if code is None else _results.get(code & 0xFF)


def by_result_or_statement(raised: BaseException) -> Finding | None:
    """By the result code; in Python 3.10, what SQLite says in other words is about the statement."""
    return by_result(raised) or (_results[ERROR] if read(raised, "sqlite_errorcode") is None else None)


CLASSES: dict[str, Entry] = entries(
    "sqlite3",
    IntegrityError=by_result_or_statement,
    OperationalError=by_result_or_statement,
    DatabaseError=by_result,
    ProgrammingError=MODULE,
    InterfaceError=MODULE,
)
