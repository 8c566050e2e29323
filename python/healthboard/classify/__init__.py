"""What an exception says of the thing that an operation used: it is unavailable, it answered, or nothing.

    >>> classify(pymysql.err.OperationalError(1040, "Too many connections"))
    Finding(meaning=<Meaning.UNAVAILABLE: 'unavailable'>, why='no connection is left …', by_work=False)

The tables decide, one module for each family of libraries. They know a class by its module and name, and
import no library. An exception in none of them says nothing. docs/classification.md is generated from them.
"""

from __future__ import annotations

from typing import Literal

from . import amqp, django, http, libvirt, mysql, oslo, postgresql, redis, sqlalchemy, sqlite, system
from .finding import Entry, Finding, Follow, Meaning, read, unavailable, unknown

__all__ = ["TABLES", "Finding", "Meaning", "classify", "classify_connecting", "judge", "judge_connecting"]

# In the order of the documentation. No class is in two of them.
TABLES = (mysql, postgresql, sqlite, sqlalchemy, django, oslo, amqp, http, libvirt, redis, system)

_CLASSES: dict[str, Entry] = {name: entry for table in TABLES for name, entry in table.CLASSES.items()}

IN_NO_TABLE = unknown("it is in no table")
NOT_REACHED = unavailable("the thing was not reached")

Evidence = bool | Literal["by_work"] | None

# How many exceptions may wrap each other. SQLAlchemy's, its asynchronous adapter's and oslo.db's are three.
DEPTH = 8


def classify(raised: BaseException) -> Finding:
    """Say what an exception means. This never raises, whatever the exception's attributes do."""
    try:
        return _find(raised, DEPTH) or IN_NO_TABLE
    except Exception:
        return IN_NO_TABLE


def classify_connecting(raised: BaseException) -> Finding:
    """Say what an exception means that was raised by a function whose only work is to connect.

    From there, an error of the system means that the thing was not reached. Elsewhere some say nothing: a
    socket's timeout, a missing file.
    """
    found = classify(raised)
    # `isinstance` would read an attribute of the exception.
    is_system = issubclass(type(raised), OSError)
    return NOT_REACHED if found.meaning is Meaning.UNKNOWN and is_system else found


def judge(raised: BaseException) -> Evidence:
    """Return what the exception is evidence for: see `Finding.evidence`."""
    return classify(raised).evidence


def judge_connecting(raised: BaseException) -> Evidence:
    """Judge an exception that was raised by a function whose only work is to connect."""
    return classify_connecting(raised).evidence


def _find(raised: object, depth: int) -> Finding | None:
    if depth == 0 or not isinstance(raised, BaseException):
        return None
    if oslo.is_remote(type(raised)):
        return oslo.REMOTE
    for kind in type(raised).__mro__:
        entry = _CLASSES.get(f"{kind.__module__}.{kind.__qualname__}")
        if isinstance(entry, Follow):
            found = _find(read(raised, entry.attribute), depth - 1)
            entry = entry.otherwise
            if found is not None:
                return found
        found = entry(raised) if callable(entry) else entry
        if found is not None:
            return found
    return None
