"""oslo.messaging's RPC servers: whether their threads still take requests.

A request is in flight from its receipt to its reply, in a thread of the server's executor. When all threads hang,
the service serves nobody. What a method raises is no evidence: it is an answer, and methods raise exceptions to
say all sorts of things.

Provoked for real: every thread of a server stuck in a method, on the fake transport.
"""

from __future__ import annotations

import functools
import weakref

from ... import Indicator
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


@functools.cache
def rpc_server() -> Indicator:
    """Return the indicator. A server without requests is well, however long."""
    return Indicator("rpc_server", impact="degrading", ttl=0)


# The servers that have been started in this process, each with the number of its threads.
_threads: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def _hook_requests(module: ModuleType) -> None:
    _patches.around(module, "RPCServer._process_incoming", rpc_server().wrap)


def _hook_servers(module: ModuleType) -> None:
    _patches.after(module, "MessageHandlingServer.start", _count)
    _patches.after(module, "MessageHandlingServer.stop", _discount)


def _count(_result: Any, server: Any, override_pool_size: int | None = None, **_kwargs: Any) -> None:
    # Servers of notifications dispatch with another class.
    if type(server.dispatcher).__name__ == "RPCDispatcher":
        _threads[server] = override_pool_size or server.conf.executor_thread_pool_size
        _say_capacity()


def _discount(_result: Any, server: Any, *_args: Any, **_kwargs: Any) -> None:
    if _threads.pop(server, None) is not None:
        _say_capacity()


def _say_capacity() -> None:
    rpc_server().set_capacity(sum(_threads.values()))


_patches = Patches(
    {"oslo_messaging.rpc.server": _hook_requests, "oslo_messaging.server": _hook_servers},
)
install, uninstall = _patches.install, _patches.uninstall
