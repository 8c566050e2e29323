"""redis-py: every command and pipeline is evidence for `redis`, or `redis_HOST` of a further server.
They are critical where Redis brings the messages of kombu, and degrading otherwise.

A command raises when redis-py has given up its own retries. A server that is frozen raises only where the
client has a `socket_timeout`. Of servers that were killed, frozen, made a replica, given too little memory or
too few clients, and of those that load their data, all errors were provoked for real.

A command that waits for data, such as BLPOP, is not in flight: it may wait for ever. Refresh asks with a DEL
of a key that nobody has, which changes nothing. A server that takes no writes refuses it. Until it takes it
again, successes are not recorded: reading works meanwhile.

Commands of a Redis Cluster, and of an asynchronous client of a Sentinel, are not recorded.
"""

from __future__ import annotations

import functools
import os
import sys

from ... import Indicator, classify
from ...classify import redis as table
from ...refresher import NotAsked, register
from ..patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# Seconds within which the server must answer a refresh.
TIMEOUT = 5.0

# A key that does not exist.
NO_KEY = "healthboard:no-such-key"

# How many servers have an indicator. A board has room for 31 indicators.
MAX_SERVERS = 6

# These commands wait for data, for a replica, or for a time that they specify.
WAITING = frozenset(
    ("BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "WAIT", "WAITAOF")
)

# Arguments of the service's connections that must not be used for healthboard's own connection.
NOT_OURS = frozenset(
    ("connection_pool", "event_dispatcher", "parser_class", "redis_connect_func", "retry", "retry_on_error")
)

# Whether Redis delivers the service's messages. Then the service has no work without it.
_is_broker = False

_servers: dict[Any, _Server] = {}


class _Server:
    """What the hook knows of one server."""

    def __init__(self, indicator: Indicator, kind: Any, arguments: dict[str, Any]) -> None:
        self.indicator = indicator
        self._connection_class, self._arguments = kind, arguments
        # Whether it is known to take writes, and whether it refuses them now.
        self._takes_writes = self._refuses_writes = False
        # healthboard's own connection, and the process to which it belongs.
        self._connection: Any = None
        self._pid = 0
        register(indicator, self._ask, classify.judge)

    def begin(self) -> Any:
        return self.indicator.begin(self.judge)

    def judge(self, raised: BaseException) -> classify.Evidence:
        """Judge an exception of a command."""
        found = classify.classify(raised)
        if found is table.READ_ONLY:
            self._takes_writes = self._refuses_writes = True
        return None if found.evidence is True and self._refuses_writes else found.evidence

    def succeed(self, operation: Any) -> None:
        """End an operation that has succeeded."""
        if self._refuses_writes:
            operation.end()
        else:
            operation.ok()

    def _ask(self) -> None:
        if self._pid != os.getpid():
            # A forked child neither uses nor closes its parent's.
            self._connection, self._pid = None, os.getpid()
        from redis.exceptions import ConnectionError, NoPermissionError, ReadOnlyError

        if self._connection is None:
            self._connection = self._connection_class(**self._arguments)
        try:
            try:
                self._send("DEL", NO_KEY)
                self._takes_writes, self._refuses_writes = True, False
            except (NoPermissionError, ReadOnlyError) as raised:
                if self._takes_writes and isinstance(raised, ReadOnlyError):
                    raise
                # The service only reads here.
                self._send("PING")
        except ConnectionError as raised:
            if "max number of clients" in str(raised) and not self.indicator.failures():
                # The service holds the connections that it needs.
                raise NotAsked from raised
            raise

    def _send(self, *command: str) -> None:
        had_connection = getattr(self._connection, "_sock", None) is not None
        try:
            self._exchange(*command)
        except (OSError, sys.modules["redis"].exceptions.ConnectionError):
            # The server may have closed the connection since the last question.
            if not had_connection:
                raise
            self._exchange(*command)

    def _exchange(self, *command: str) -> None:
        try:
            self._connection.send_command(*command, check_health=False)
            self._connection.read_response()
        except sys.modules["redis"].exceptions.ResponseError:
            raise
        except BaseException:
            self._connection.disconnect()
            raise


def _own_connection(pool: Any) -> tuple[Any, dict[str, Any]]:
    """Return the class of healthboard's own connection (None if there is none), and its arguments."""
    from redis import connection
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    kind = pool.connection_class
    if "asyncio" in kind.__module__:
        kind = getattr(connection, kind.__name__, None)
    is_managed = any(each.__module__ == "redis.sentinel" for each in getattr(kind, "__mro__", ()))
    # The connection of a sentinel finds its server by its pool.
    unwanted = NOT_OURS - {"connection_pool"} if is_managed else NOT_OURS
    arguments = {name: value for name, value in pool.connection_kwargs.items() if name not in unwanted}
    arguments |= {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "health_check_interval": 0}
    arguments["retry"] = Retry(NoBackoff(), 0)
    return kind, arguments


def _server_of(client: Any) -> _Server | None:
    pool = client.connection_pool
    arguments = pool.connection_kwargs
    host = getattr(pool, "service_name", None) or arguments.get("host") or arguments.get("path")
    place = (host, arguments.get("port"))
    server = _servers.get(place)
    if server is None and len(_servers) < MAX_SERVERS:
        kind, arguments = _own_connection(pool)
        if kind is not None:
            server = _servers[place] = _Server(_indicator(os.path.basename(str(host))), kind, arguments)
    return server


def _indicator(host: str) -> Indicator:
    name = f"redis_{host}" if _servers else "redis"
    if any(each.indicator.name == name for each in _servers.values()):
        # This is another port of the same host.
        name += f"_{len(_servers) + 1}"
    if _is_broker:
        return Indicator(name, impact="critical")
    return Indicator(name, impact="degrading")


def _waits(command: Any) -> bool:
    word = command[0].upper() if command and isinstance(command[0], str) else ""
    return word in WAITING or (word in ("XREAD", "XREADGROUP") and b"BLOCK" in command)


def _record(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(client: Any, *args: Any, **kwargs: Any) -> Any:
        server = _found(client)
        if server is None:
            return function(client, *args, **kwargs)
        if _waits(args):
            with _Waiting(server):
                return function(client, *args, **kwargs)
        with server.begin() as operation:
            result = function(client, *args, **kwargs)
            server.succeed(operation)
        return result

    return wrapper


def _record_coroutine(function: Any) -> Any:
    @functools.wraps(function)
    async def wrapper(client: Any, *args: Any, **kwargs: Any) -> Any:
        server = _found(client)
        if server is None:
            return await function(client, *args, **kwargs)
        if _waits(args):
            with _Waiting(server):
                return await function(client, *args, **kwargs)
        with server.begin() as operation:
            result = await function(client, *args, **kwargs)
            server.succeed(operation)
        return result

    return wrapper


def _found(client: Any) -> _Server | None:
    try:
        return _server_of(client)
    except Exception:
        # The client is of a subclass that has another kind of pool.
        return None


class _Waiting:
    """A command that waits. It is recorded when it ends."""

    def __init__(self, server: _Server) -> None:
        self._server = server

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, raised: BaseException | None, _traceback: object) -> None:
        operation = self._server.begin()
        if raised is None:
            self._server.succeed(operation)
        elif isinstance(raised, Exception):
            operation.__exit__(type(raised), raised, None)
        else:
            operation.end()


def _hook(client: ModuleType) -> None:
    _patches.around(client, "Redis.execute_command", _record)
    _patches.around(client, "Pipeline.execute", _record)


def _hook_asyncio(client: ModuleType) -> None:
    _patches.around(client, "Redis.execute_command", _record_coroutine)
    _patches.around(client, "Pipeline.execute", _record_coroutine)


def _hook_kombu(transport: ModuleType) -> None:
    _patches.before(transport, "Channel._create_client", _note_broker)


def _note_broker(*_args: Any, **_kwargs: Any) -> None:
    global _is_broker
    _is_broker = True


_patches = Patches(
    {"redis.client": _hook, "redis.asyncio.client": _hook_asyncio, "kombu.transport.redis": _hook_kombu}
)
install, uninstall = _patches.install, _patches.uninstall
