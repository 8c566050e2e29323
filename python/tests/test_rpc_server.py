"""Real RPC servers of oslo.messaging: a server whose threads all hang serves nobody."""

from __future__ import annotations

import re
import time

import pytest
from test_hooks import START, details

from conftest import Service, eventually

SERVER = (
    """
import warnings
warnings.simplefilter("ignore")
{patch}
"""
    + START
    + """
import threading
from oslo_config import cfg
import oslo_messaging

conf = cfg.CONF
conf([], project="svc", default_config_files=[], default_config_dirs=[])
transport = oslo_messaging.get_rpc_transport(conf, "fake:/")
class Endpoint:
    def answer(self, context): return 1
    def fail(self, context): raise LookupError
    def hang(self, context):
        while not os.path.exists("go on"): time.sleep(0.05)
target = oslo_messaging.Target(topic="t", server="s")
server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="{executor}")
conf.set_override("executor_thread_pool_size", 2)
server.start()
client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic="t"))
for line in iter({readline}, ""):
    if line == "stop\\n":
        server.stop()
        continue
    method, kind = line.split()
    try: getattr(client, kind)({{}}, method)
    except LookupError: pass
    time.sleep(0.2)
    print("done", flush=True)
"""
)

MODES = {
    "threading": {"patch": "", "executor": "threading", "readline": "sys.stdin.readline"},
    "eventlet": {
        "patch": "import eventlet.tpool; eventlet.monkey_patch()",
        "executor": "eventlet",
        # The hub must not wait for it.
        "readline": "lambda: eventlet.tpool.execute(sys.stdin.readline)",
    },
}


@pytest.fixture(params=MODES.values(), ids=MODES)
def rpc(service: Service, request: pytest.FixtureRequest) -> Service:
    pytest.importorskip("oslo_messaging")
    service.environment["HEALTHBOARD_RPC_SERVER__STALL_AFTER"] = "1"
    return service.start(SERVER.format(**request.param))


def tell(service: Service, line: str) -> None:
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write(line + "\n")
    service.process.stdin.flush()


def test_a_server_all_of_whose_threads_hang_is_a_fault_and_one_with_a_free_thread_is_ok(
    rpc: Service, request: pytest.FixtureRequest
) -> None:
    tell(rpc, "answer call")
    details(rpc, "rpc_server", state="passing", in_flight=0)
    tell(rpc, "hang cast")
    details(rpc, "rpc_server", in_flight=1)
    # Twice `stall_after`.
    time.sleep(2)
    assert rpc.health()["status"] == "OK"
    tell(rpc, "hang cast")
    health = eventually(lambda: (h := rpc.health())["status"] == "FAULT" and h)
    assert "rpc_server: all 2 places taken" in health["message"], health["message"]
    # Where green threads stand is not told as long as their hub runs.
    if "threading" in request.node.name:
        eventually(lambda: re.search(r", in svc:\d+ hang ", rpc.health()["message"]))
    (rpc.folder / "go on").touch()
    eventually(lambda: rpc.health()["status"] == "OK")


def test_an_exception_of_a_method_is_an_answer(rpc: Service) -> None:
    tell(rpc, "fail call")
    tell(rpc, "fail call")
    details(rpc, "rpc_server", state="passing", failures=0)
