"""What a service says while a real Redis server fails it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from servers import Redis
from test_hooks import START, details

from conftest import Service, eventually

pytest.importorskip("redis")

SYNC = """
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
client = redis.Redis(port=PORT, socket_timeout=1, retry=Retry(NoBackoff(), 0))
def run(*command, client=client):
    try: client.execute_command(*command)
    except redis.RedisError as error: print(type(error).__name__, flush=True)
"""

ASYNC = """
import asyncio, redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
client = redis.asyncio.Redis(port=PORT, socket_timeout=1, retry=Retry(NoBackoff(), 0))
loop = asyncio.new_event_loop()
def run(*command):
    try: loop.run_until_complete(client.execute_command(*command))
    except redis.RedisError as error: print(type(error).__name__, flush=True)
"""

IDLE = "run('SET', 'a', '1'); sys.stdin.read()"
WORK = "while True: run('GET', 'a'); run('SET', 'a', '1'); time.sleep(0.05)"


@pytest.fixture
def server() -> Iterator[Redis]:
    with Redis() as server:
        yield server


@pytest.fixture
def fast(service: Service) -> Service:
    service.environment |= {"HEALTHBOARD_REFRESH_INTERVAL": "0.5", "HEALTHBOARD_FAILURE_WINDOW": "2"}
    return service


def start(service: Service, server: Redis, program: str, client: str = SYNC) -> None:
    service.start(START + client.replace("PORT", str(server.port)) + program)
    details(service, "redis", state="passing", impact="degrading")


@pytest.mark.parametrize("client", [SYNC, ASYNC], ids=["sync", "async"])
@pytest.mark.parametrize("work", [IDLE, WORK], ids=["idle", "work"])
def test_a_server_that_is_killed_is_a_failure_until_it_is_back(
    fast: Service, server: Redis, client: str, work: str
) -> None:
    start(fast, server, work, client)
    server.kill()
    details(fast, "redis", state="failing", error="ConnectionError")
    assert fast.health()["status"] == "DEGRADED"
    server.start()
    details(fast, "redis", state="passing")


@pytest.mark.parametrize("client", [SYNC, ASYNC], ids=["sync", "async"])
def test_a_frozen_server_is_seen_by_an_idle_service(fast: Service, server: Redis, client: str) -> None:
    start(fast, server, IDLE, client)
    server.freeze()
    eventually(lambda: fast.health()["status"] == "DEGRADED", within=20)
    server.thaw()
    eventually(lambda: fast.health()["status"] == "OK")


@pytest.mark.parametrize("work", [IDLE, WORK], ids=["idle", "work"])
def test_a_server_that_has_become_a_replica_is_a_failure_until_it_takes_writes(
    fast: Service, server: Redis, work: str
) -> None:
    with Redis() as primary:
        start(fast, server, work)
        time.sleep(1.5)
        server.do(f"REPLICAOF 127.0.0.1 {primary.port}")
        details(fast, "redis", state="failing", error="ReadOnlyError")
        end = time.monotonic() + 2
        while time.monotonic() < end:
            assert fast.health()["details"]["redis"]["state"] == "failing"
        server.do("REPLICAOF NO ONE")
        details(fast, "redis", state="passing")


def test_a_replica_that_is_only_read_is_well(fast: Service, server: Redis) -> None:
    with Redis() as primary:
        server.do(f"REPLICAOF 127.0.0.1 {primary.port}")
        start(fast, server, "run('GET', 'a'); sys.stdin.read()")
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert fast.health()["details"]["redis"]["state"] == "passing"


def test_a_server_without_memory_is_a_failure_that_no_refresh_clears(fast: Service, server: Redis) -> None:
    start(fast, server, "run('SET', 'a', '1'); sys.stdin.readline(); run('SET', 'a', '2'); sys.stdin.read()")
    server.do("CONFIG SET maxmemory 1")
    assert fast.process is not None
    assert fast.process.stdin is not None
    fast.process.stdin.write("\n")
    fast.process.stdin.flush()
    details(fast, "redis", state="transient", error="OutOfMemoryError")
    time.sleep(2)
    details(fast, "redis", state="transient", error="OutOfMemoryError")


def test_a_server_without_places_is_well_while_the_service_has_its_own(fast: Service, server: Redis) -> None:
    fast.environment["HEALTHBOARD_REFRESH_INTERVAL"] = "2"
    start(fast, server, "run('SET', 'a', '1'); sys.stdin.read()")
    server.do("CONFIG SET maxclients 1")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        assert fast.health()["status"] == "OK"


def test_a_command_that_waits_is_not_in_flight_and_a_wrong_one_is_an_answer(
    fast: Service, server: Redis
) -> None:
    fast.environment["HEALTHBOARD_REDIS__STALL_AFTER"] = "1"
    program = "run('SET', 'a', '1'); run('LPOP', 'a')\n"
    start(fast, server, program + "redis.Redis(port=client.get_connection_kwargs()['port']).blpop('none')")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        found = fast.health()["details"]["redis"]
        # Otherwise it would be stalled.
        assert (found["state"], found["failures"]) == ("passing", 0)


def test_pipelines_and_further_servers_are_recorded(fast: Service, server: Redis) -> None:
    with Redis() as other:
        more = f"""
second = redis.Redis(port={other.port}, socket_timeout=1, retry=Retry(NoBackoff(), 0))
pipeline = client.pipeline(); pipeline.set("a", 1); pipeline.get("a"); pipeline.execute()
pipeline = second.pipeline(); pipeline.set("a", 1); pipeline.execute()
sys.stdin.read()
"""
        start(fast, server, more)
        details(fast, "redis_localhost", state="passing")
        other.kill()
        details(fast, "redis_localhost", state="failing")
        assert fast.health()["details"]["redis"]["state"] == "passing"


def test_a_broker_is_critical(fast: Service, server: Redis) -> None:
    pytest.importorskip("kombu")
    fast.start(
        START
        + f"""
import kombu
connection = kombu.Connection("redis://127.0.0.1:{server.port}")
with connection.Producer() as producer: producer.publish("x", routing_key="q")
sys.stdin.read()
"""
    )
    details(fast, "redis", state="passing", impact="critical")
