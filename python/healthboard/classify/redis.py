"""Redis: redis-py

The class decides. Of an answer that has no class of its own, its first word does.
"""

from __future__ import annotations

from .finding import NO_FREE_CONNECTION, Entry, Finding, answered, by_key, entries, text, unavailable, unknown

NOT_REACHED = unavailable("the server was not reached, did not answer in time, or is loading its data")
NOT_LET_IN = unavailable("the server does not let this service in")
READ_ONLY = unavailable("the server takes no writes: a replica, or after a failover")
FULL = unavailable("the server has no memory or disk left", by_work=True)
CLUSTER = unavailable("the cluster is down, in whole or in part")
NO_PERMISSION = unknown("a missing permission: of a single command, or of all")
CLIENT = unknown("the client's own, or of its locks")

WORDS = (
    (NOT_REACHED, ("LOADING",)),
    (NOT_LET_IN, ("NOAUTH", "WRONGPASS")),
    (READ_ONLY, ("READONLY",)),
    (FULL, ("MISCONF", "OOM")),
    (CLUSTER, ("CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS")),
    (NO_PERMISSION, ("NOPERM",)),
    (unknown("a script that does not end keeps the server busy"), ("BUSY",)),
)
OTHER_WORD = answered("the server refused a command that is wrong")

CASES = ((OTHER_WORD, ("another word",)),)

_words = by_key(WORDS)


def by_word(raised: BaseException) -> Finding:
    """By the first word of the server's answer."""
    # A pipeline says before it which of its commands this is.
    answer = text(raised).rpartition(" of pipeline caused error: ")[2]
    return _words.get(answer.partition(" ")[0]) or OTHER_WORD


CLASSES: dict[str, Entry] = entries(
    "redis.exceptions",
    MaxConnectionsError=NO_FREE_CONNECTION,
    AuthenticationError=NOT_LET_IN,
    AuthorizationError=NOT_LET_IN,
    ConnectionError=NOT_REACHED,
    TimeoutError=NOT_REACHED,
    ReadOnlyError=READ_ONLY,
    OutOfMemoryError=FULL,
    ClusterDownError=CLUSTER,
    NoPermissionError=NO_PERMISSION,
    ResponseError=by_word,
    WatchError=answered("a conflict with another client, which the service repeats"),
    RedisError=CLIENT,
)
