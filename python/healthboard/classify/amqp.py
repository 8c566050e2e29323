"""AMQP: py-amqp, kombu

The broker's reply code decides, together with what it closed: the connection or one of its channels.
"""

from __future__ import annotations

from .finding import (
    NO_FREE_CONNECTION,
    Entry,
    Finding,
    Follow,
    answered,
    by_key,
    entries,
    read,
    text,
    unavailable,
    unknown,
)

# Of the AMQP method that the broker answers by closing. With 0 it closes of its own accord.
CONNECTION_CLASSES = (0, 10)

ACCESS_REFUSED, NOT_FOUND, NOT_ALLOWED = 403, 404, 530

NOT_LET_IN = unavailable("the broker does not let this service in: user, password, virtual host or a limit")
NODE_DOWN = unavailable("the node with the queue is down")
NO_CODE = unknown("the library's own: a connection that was lost or closed earlier")
UNCONFIRMED = unavailable("the broker did not take the message", by_work=True)

CODES = (
    (unavailable("the broker ended the connection: a shutdown, an administrator, missed heartbeats"), (320,)),
    (unavailable("the broker has failed, or is out of resources"), (506, 541)),
    (NOT_LET_IN, (402,)),
    (unknown("a missing permission: on a single exchange or queue, or on all"), (ACCESS_REFUSED,)),
    (
        unknown("a frame out of place: threads or green threads shared a connection"),
        (501, 502, 503, 504, 505),
    ),
    (answered("the message cannot be routed, or is too large"), (311, 312, 313)),
    (answered("the exchange or queue is missing, in use, or declared differently"), (NOT_FOUND, 405, 406)),
    (answered("the broker refused a request that is wrong"), (NOT_ALLOWED, 540)),
)

# What the readers below decide by more than the code, for the documentation.
CASES = (
    (NOT_LET_IN, ("403 and 530 of the connection",)),
    (NODE_DOWN, ("404 of a queue that is down or inaccessible",)),
    (UNCONFIRMED, ("a publish that timed out",)),
    (NO_CODE, ("no code",)),
)

_codes = by_key(CODES)


def by_code(raised: BaseException) -> Finding | None:
    """By the reply code."""
    code = read(raised, "reply_code")
    if not code:
        return NO_CODE
    method = read(raised, "method_sig")
    of_connection = isinstance(method, tuple) and method[:1] and method[0] in CONNECTION_CLASSES
    if code in (ACCESS_REFUSED, NOT_ALLOWED) and of_connection:
        return NOT_LET_IN
    # "home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible"
    return NODE_DOWN if code == NOT_FOUND and "down or inaccessible" in text(raised) else _codes.get(code)


def by_code_or_publish(raised: BaseException) -> Finding | None:
    """By the reply code; without one, a publish may have timed out."""
    return UNCONFIRMED if text(raised) == "basic_publish: timed out" else by_code(raised)


CLASSES: dict[str, Entry] = {
    **entries(
        "amqp.exceptions",
        AMQPError=by_code,
        RecoverableConnectionError=by_code_or_publish,
        Blocked=unavailable("the broker takes no messages: an alarm of memory or disk", by_work=True),
        ConsumerCancelled=unknown("the queue was deleted, or its node went down"),
        MessageNacked=UNCONFIRMED,
    ),
    **entries(
        "kombu.exceptions",
        OperationalError=Follow("__cause__", unavailable("kombu could not connect, or lost the connection")),
        LimitExceeded=NO_FREE_CONNECTION,
        KombuError=unknown("kombu's own"),
    ),
}
