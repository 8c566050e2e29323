"""OpenStack's libraries: oslo.db, oslo.messaging

Below oslo.db's translation, the driver's exception decides. oslo.messaging waits for the broker rather than
raising, so an RPC that gets no answer says nothing of the broker: the server that should answer may hang.
"""

from __future__ import annotations

from .finding import Entry, Follow, answered, entries, unavailable, unknown

REMOTE = answered("raised at the other end of an RPC, and brought here by a bus that works")
NOT_OFFERED = answered("the bus works, and the other end does not offer what was asked")
NO_EXCHANGE = answered("the broker has no such exchange")
LOST = unavailable("oslo.db knows that the connection is lost")
NO_DATABASE = unavailable("the database of this service does not exist")
CONFLICT = unknown("a conflict with another transaction, or a lock that was not free in time")
REFUSED = answered("the database refused data or a statement")


def is_remote(kind: type) -> bool:
    """Tell whether oslo.messaging has rebuilt it from one of another process: it renames class and module."""
    return kind.__name__.endswith("_Remote") and kind.__module__.endswith("_Remote")


CLASSES: dict[str, Entry] = {
    **entries(
        "oslo_db.exception",
        DBConnectionError=Follow("inner_exception", LOST),
        DBNonExistentDatabase=Follow("inner_exception", NO_DATABASE),
        DBDeadlock=Follow("inner_exception", CONFLICT),
        DBConstraintError=Follow("inner_exception", REFUSED),
        DBDataError=Follow("inner_exception", REFUSED),
        DBDuplicateEntry=Follow("inner_exception", REFUSED),
        DBNonExistentConstraint=Follow("inner_exception", REFUSED),
        DBNotSupportedError=Follow("inner_exception", REFUSED),
        DBReferenceError=Follow("inner_exception", REFUSED),
        DBError=Follow("inner_exception"),
        RetryRequest=Follow("inner_exc"),
    ),
    **entries(
        "oslo_messaging.exceptions",
        MessageDeliveryFailure=unavailable("the message was not delivered to the broker"),
        MessageUndeliverable=answered("the broker has no queue for the message"),
        MessagingTimeout=unknown("no answer to an RPC: the broker or the other end is at fault"),
    ),
    **entries("oslo_messaging.rpc.client", RemoteError=REMOTE),
    **entries("oslo_messaging.rpc.dispatcher", RPCDispatcherError=NOT_OFFERED),
    **entries("oslo_messaging._drivers.amqp", AMQPDestinationNotFound=NO_EXCHANGE),
    **entries("oslo_messaging._drivers.common", Timeout=unknown("no message came to an idle consumer")),
}
