"""oslo.messaging: calls, casts, deliveries and what its rabbit driver does are evidence for `message_bus`."""

from __future__ import annotations

import functools

from .. import Indicator
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

BUS = Indicator("message_bus")


def _hook_client(client: ModuleType) -> None:
    exceptions = client.exceptions
    failures = (exceptions.MessagingTimeout, exceptions.MessageDeliveryFailure, client.ClientSendError)

    # Not in flight: a call may be allowed to take half an hour, and it ends by its own timeout.
    def record(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            try:
                result = function(*args, **kwargs)
            except failures as error:
                BUS.record_fail(error)
                raise
            except client.RemoteError:
                # It came over the bus.
                BUS.record_ok()
                raise
            BUS.record_ok()
            return result

        return wrapper

    _patches.replace(client, "_BaseCallContext.call", record)
    _patches.replace(client, "_BaseCallContext.cast", record)


def _hook_dispatcher(dispatcher: ModuleType) -> None:
    def record(dispatch: Any) -> Any:
        @functools.wraps(dispatch)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            # The bus has done its part. What becomes of the message is not its business.
            BUS.record_ok()
            return dispatch(*args, **kwargs)

        return wrapper

    _patches.replace(dispatcher, "RPCDispatcher.dispatch", record)


def _hook_rabbit(rabbit: ModuleType) -> None:
    # What the broker answered, and how a wait for messages ends when there are none.
    answers = (
        rabbit.rpc_common.Timeout,
        rabbit.rpc_amqp.AMQPDestinationNotFound,
        rabbit.exceptions.MessageUndeliverable,
    )

    def judge(raised: BaseException) -> bool:
        return isinstance(raised, answers)

    # In an outage it neither raises nor returns: it is in flight.
    _patches.replace(rabbit, "Connection.ensure", lambda ensure: BUS.wrap(ensure, judge))


_patches = Patches(
    {
        "oslo_messaging.rpc.client": _hook_client,
        "oslo_messaging.rpc.dispatcher": _hook_dispatcher,
        "oslo_messaging._drivers.impl_rabbit": _hook_rabbit,
    }
)
install, uninstall = _patches.install, _patches.uninstall
