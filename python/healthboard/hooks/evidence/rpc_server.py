"""oslo.messaging's RPC servers: whether their threads still take requests.

A request is in flight from its receipt to its reply, in a thread of the server's executor. When all threads
hang, the service serves nobody. An exception that a method raises is an answer and counts as a success:
methods raise exceptions to say all sorts of things.

Provoked for real: every thread of a server stuck in a method, on the fake transport.
"""

from __future__ import annotations

import functools
import sys
import weakref

from ... import Indicator
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


_indicator: Indicator | None = None

# The servers that have been started in this process, each with the number of its threads.
_threads: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


def _hook(module: ModuleType) -> None:
    _patches.after(module, "MessageHandlingServer.start", _count)
    _patches.after(module, "MessageHandlingServer.stop", _discount)


def _count(_result: Any, server: Any, override_pool_size: int | None = None, **_kwargs: Any) -> None:
    global _indicator
    # Servers of notifications dispatch with another class.
    if type(server.dispatcher).__name__ != "RPCDispatcher":
        return
    if _indicator is None:
        # Created here, since a program that only calls other services must not have this indicator.
        _indicator = Indicator("rpc_server", impact="degrading", ttl=0)
        _patches.around(sys.modules["oslo_messaging.rpc.server"], "RPCServer._process_incoming", _record)
    _threads[server] = override_pool_size or server.conf.executor_thread_pool_size
    _indicator.set_capacity(sum(_threads.values()))


def _record(process: Any) -> Any:
    # The wrapper is in Python, since its frame shows which threads are at work.
    @functools.wraps(process)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if _indicator is None:
            return process(*args, **kwargs)
        with _indicator.begin():
            return process(*args, **kwargs)

    return wrapper


def _discount(_result: Any, server: Any, *_args: Any, **_kwargs: Any) -> None:
    if _threads.pop(server, None) is not None and _indicator is not None:
        _indicator.set_capacity(sum(_threads.values()))


_patches = Patches({"oslo_messaging.server": _hook})
install, uninstall = _patches.install, _patches.uninstall
