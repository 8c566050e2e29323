"""PostgreSQL: psycopg2, psycopg 3, asyncpg

The SQLSTATE decides, or else its class, which is its first two characters. libpq gives none when it cannot
connect or has lost the connection.
"""

from __future__ import annotations

from .finding import (
    NO_CONNECTION_LEFT,
    NO_FREE_CONNECTION,
    NO_PRIVILEGE,
    Entry,
    Finding,
    answered,
    by_key,
    entries,
    read,
    text,
    unavailable,
    unknown,
)

READ_ONLY_TRANSACTION = "25006"
READ_ONLY_SETTINGS = ("in_hot_standby", "default_transaction_read_only")

LOST = unavailable("libpq could not connect, or lost the connection")
DRIVER = unknown("the driver's own: a closed cursor or connection, a mix-up of threads or tasks")
READ_ONLY = unavailable("the server takes no writes: a standby, or set to read only")
DECLARED = answered("a write in a transaction that the service began as read only")

STATES = (
    (NO_CONNECTION_LEFT, ("53300",)),
    (unavailable("the server's disk is full or broken", by_work=True), ("53100", "58030")),
    (unavailable("the server has no memory or locks left", by_work=True), ("53000", "53200")),
    (
        unavailable("the server shuts down, starts or recovers; an administrator ended the connection"),
        ("57P01", "57P02", "57P03"),
    ),
    (unavailable("the database of this service does not exist"), ("3D000", "57P04")),
    (unavailable("the server does not let this service in"), ("28",)),
    (unavailable("the connection broke; PgBouncer says it of everything"), ("08",)),
    (unavailable("the server does not know whether it committed"), ("40003",)),
    (unavailable("data or an index are damaged", by_work=True), ("XX001", "XX002")),
    (READ_ONLY, (READ_ONLY_TRANSACTION,)),
    (unknown("cut short: by an administrator, the client or a time limit"), ("57014", "25P04")),
    (unknown("an idle connection was closed by the server"), ("25P03", "57P05")),
    (unknown("an earlier statement has failed; this one did not run"), ("25P02",)),
    (
        unknown("a lock was not free in time: another transaction of this service, or maintenance, holds it"),
        ("55P03",),
    ),
    (unknown("a missing table or schema: a check whether it exists, or a lost schema"), ("42P01", "3F")),
    (NO_PRIVILEGE, ("42501",)),
    (
        unknown("the statement may be at fault, or the server"),
        ("53", "55", "57", "58", "F0", "HV", "P0", "XX"),
    ),
    (answered("a conflict with another transaction, which the service repeats"), ("40",)),
    (answered("the service's own SQL says so"), ("P0001", "P0002", "P0003", "P0004")),
    (answered("another session uses the object"), ("55006",)),
    (
        answered("the server refused a statement that is wrong or unlucky"),
        (
            *("03", "09", "0A", "0B", "0F", "0L", "0P", "20", "21", "22", "23", "24", "25", "26", "27", "2B"),
            *("2D", "2F", "34", "38", "39", "3B", "42", "44", "54", "72"),
        ),
    ),
)

# What the readers below decide by more than the SQLSTATE, for the documentation.
CASES = (
    (DECLARED, ("25006 while the server and the session can write (psycopg2 alone tells)",)),
    (LOST, ("an OperationalError without an SQLSTATE",)),
    (DRIVER, ("another exception without an SQLSTATE",)),
)

# psycopg2's broken connections that are neither an `OperationalError` nor have an SQLSTATE.
BROKEN = ("SSL ", "server closed the connection", "connection not open", "could not receive data")

_states = by_key(STATES)


def by_state(raised: BaseException) -> Finding | None:
    """By the SQLSTATE, then by its class."""
    # psycopg2 calls it `pgcode`.
    state = read(raised, "sqlstate") or read(raised, "pgcode")
    if not isinstance(state, str):
        return None
    if state == READ_ONLY_TRANSACTION and _began_read_only(raised):
        return DECLARED
    return _states.get(state) or _states.get(state[:2])


def by_state_or_lost(raised: BaseException) -> Finding:
    """By the SQLSTATE, then by its class; without one, libpq could not connect or has lost the connection."""
    # psycopg 3 says this of a connection that was lost or closed earlier.
    return by_state(raised) or (DRIVER if "the connection is closed" in text(raised) else LOST)


def by_state_or_text(raised: BaseException) -> Finding:
    """By the SQLSTATE, then by its class; without one, by the words of a broken connection."""
    return by_state(raised) or (LOST if any(words in text(raised) for words in BROKEN) else DRIVER)


def _began_read_only(raised: BaseException) -> bool:
    # PostgreSQL 14 and later report both settings unasked. If they are off, the transaction alone forbids it.
    # The exceptions of psycopg 3 and asyncpg do not lead to the connection.
    status = read(read(read(read(raised, "cursor"), "connection"), "info"), "parameter_status")
    return status is not None and all(status(name) == "off" for name in READ_ONLY_SETTINGS)


CLASSES: dict[str, Entry] = {
    **{
        name: entry
        for module in ("psycopg2", "psycopg")
        for name, entry in entries(
            module,
            OperationalError=by_state_or_lost,
            DatabaseError=by_state_or_text,
            Error=by_state_or_text,
        ).items()
    },
    **entries("psycopg.errors", CancellationTimeout=DRIVER, PipelineAborted=DRIVER),
    **entries(
        "psycopg_pool", PoolTimeout=NO_FREE_CONNECTION, TooManyRequests=NO_FREE_CONNECTION, PoolClosed=DRIVER
    ),
    **entries(
        "asyncpg.exceptions._base",
        PostgresError=by_state,
        TargetServerAttributeNotMatched=unavailable("no server is in the role asked for"),
        InterfaceError=DRIVER,
        InternalClientError=DRIVER,
    ),
}
