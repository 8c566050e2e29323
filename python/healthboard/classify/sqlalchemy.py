"""SQLAlchemy

The driver's exception decides, which is in `orig`. What SQLAlchemy says itself counts where the driver is in
no table.
"""

from __future__ import annotations

from .finding import NO_FREE_CONNECTION, Entry, Finding, Follow, answered, entries, read, unavailable

LOST = unavailable("SQLAlchemy's dialect knows that the connection is lost")
CONSTRAINT = answered("the database refused data that break a constraint")
WRONG_COUNT = answered("the query was answered, with another number of rows than expected")


def if_invalidated(raised: BaseException) -> Finding | None:
    """By `connection_invalidated`."""
    return LOST if read(raised, "connection_invalidated") is True else None


CLASSES: dict[str, Entry] = {
    **entries(
        "sqlalchemy.exc",
        TimeoutError=NO_FREE_CONNECTION,
        IntegrityError=Follow("orig", CONSTRAINT),
        DBAPIError=Follow("orig", if_invalidated),
        StatementError=Follow("orig"),
        NoResultFound=WRONG_COUNT,
        MultipleResultsFound=WRONG_COUNT,
        # Of asynchronous drivers, whose exceptions SQLAlchemy translates to those of the DB-API.
        EmulatedDBAPIException=Follow("orig"),
    ),
    # The same, before SQLAlchemy 2.1.
    "sqlalchemy.dialects.postgresql.asyncpg.AsyncAdapt_asyncpg_dbapi.Error": Follow("__cause__"),
}
