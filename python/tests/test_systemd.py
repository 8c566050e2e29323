"""What systemd is told of a service."""

from __future__ import annotations

import os
import signal
import socket
import sys

import pytest
from systemd import Systemd
from test_processes import EVENTLET, START
from test_servers import Server, server

from conftest import Service, eventually

__all__ = ["server"]

# systemd names the main process, which is what becomes of the one that runs this.
MAIN = "import os; os.environ['SYSTEMD_EXEC_PID'] = str(os.getpid())\n"

# A service of oslo.service. It says in a file when it is about to say that it is ready.
OSLO = """
{first}
import os, sys, time
os.environ["SYSTEMD_EXEC_PID"] = os.environ.get("SYSTEMD_EXEC_PID") or str(os.getpid())
from oslo_service import backend
backend.init_backend(backend.BackendType.{backend})
from oslo_config import cfg
from oslo_service import service
import healthboard

class Worker(service.Service):
    def start(self):
        healthboard.record_ok("work")
    def stop(self, graceful=False):
        time.sleep(5)
        super().stop(graceful)

cfg.CONF([], project="svc")
launcher = service.launch(cfg.CONF, Worker(), workers={workers}, restart_method="mutate")
healthboard.record_fail("work", OSError)
time.sleep(2)
open("starts", "w").close()
launcher.wait()
"""


def test_it_is_ready_when_the_program_says_so_and_not_before(service: Service, systemd: Systemd) -> None:
    systemd.of(service).start(MAIN + START + "sys.stdin.readline(); healthboard.ready(); sys.stdin.read()")
    service.health()
    assert systemd.line("STATUS=") == "STATUS=OK"
    with pytest.raises(TimeoutError):
        systemd.line("READY=1", within=2.5)
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write("\n")
    service.process.stdin.flush()
    assert systemd.line("READY=1", within=3)
    assert service.answers()


def test_it_answers_when_it_is_ready(service: Service, systemd: Systemd) -> None:
    systemd.of(service).start(START + "healthboard.ready(); sys.stdin.read()")
    assert systemd.line("READY=1")
    assert service.answers()


def test_a_service_that_cannot_answer_is_ready_all_the_same(service: Service, systemd: Systemd) -> None:
    service.environment["HEALTHBOARD_URI"] = "unix:///proc/no/such/place.sock"
    systemd.of(service).start(
        "import sys, healthboard\nhealthboard.start('svc'); healthboard.ready(); sys.stdin.read()"
    )
    assert systemd.line("READY=1")


def test_a_slow_start_is_extended_until_it_is_ready(service: Service, systemd: Systemd) -> None:
    systemd.of(service).start(MAIN + START + "sys.stdin.readline(); healthboard.ready(); sys.stdin.read()")
    for _ in range(3):
        assert systemd.line("EXTEND_TIMEOUT_USEC=", within=3)
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write("\n")
    service.process.stdin.flush()
    assert systemd.line("READY=1", within=3)
    with pytest.raises(TimeoutError):
        systemd.line("EXTEND_TIMEOUT_USEC=", within=2.5)


def test_the_status_is_the_message_of_a_probe(service: Service, systemd: Systemd) -> None:
    systemd.of(service).start(START + "healthboard.record_fail('database', OSError); sys.stdin.read()")
    assert systemd.line("STATUS=DEGRADED: database: OSError, ")
    assert service.health()["message"].startswith("database: OSError, ")


@pytest.mark.parametrize(
    ("backend", "workers"), [("THREADING", 1), ("THREADING", 2), ("EVENTLET", 1), ("EVENTLET", 2)]
)
def test_oslo_service_is_ready_not_before_it_says_so_and_says_its_end(
    service: Service, systemd: Systemd, backend: str, workers: int
) -> None:
    pytest.importorskip("oslo_service")
    program = OSLO.format(first=EVENTLET if backend == "EVENTLET" else "", backend=backend, workers=workers)
    systemd.of(service).start(program, launch=True)
    assert systemd.line("READY=1", within=30)
    assert (service.folder / "starts").exists()
    assert service.answers()
    eventually(lambda: service.health()["details"]["work"]["state"] in ("passing", "transient"))
    assert service.process is not None
    os.kill(service.process.pid, signal.SIGHUP)
    # Eventlet's launcher of processes has no function for it.
    if (backend, workers) != ("EVENTLET", 2):
        assert systemd.line("RELOADING=1")
        assert systemd.line("MONOTONIC_USEC=")
        assert systemd.line("READY=1")
    assert "STOPPING=1" not in systemd.lines()
    os.kill(service.process.pid, signal.SIGTERM)
    assert systemd.line("STOPPING=1")


WSGI = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""
ASGI = "async def application(scope, receive, send): pass"
PROXY = """
import websockify
target = {"target_host": "127.0.0.1", "target_port": 1}
websockify.WebSocketProxy(listen_port=PORT, **target).start_server()
"""


@pytest.mark.parametrize(
    ("program", "command"),
    [
        (WSGI, "-m uvicorn app:application --interface wsgi --port {port}"),
        (WSGI, "-m gunicorn.app.wsgiapp app:application --bind 127.0.0.1:{port}"),
        (ASGI, "-m daphne --port {port} app:application"),
        (PROXY, "app.py"),
    ],
    ids=["uvicorn", "gunicorn", "daphne", "websockify"],
)
def test_a_server_is_ready_when_it_listens(
    server: Server, systemd: Systemd, program: str, command: str
) -> None:
    words = command.format(port=server.web).split()
    systemd.of(server)
    server.serve(program.replace("PORT", str(server.web)), sys.executable, *words)
    assert systemd.line("READY=1")
    with socket.create_connection(("127.0.0.1", server.web), timeout=5):
        assert server.answers()


def test_a_program_under_our_launcher_may_be_ready_before_health_starts_by_itself(
    service: Service, systemd: Systemd
) -> None:
    systemd.of(service).start("import sys, healthboard; healthboard.ready(); sys.stdin.read()", launch=True)
    assert systemd.line("READY=1", within=5)


def test_a_socket_that_nobody_reads_does_not_hold_the_service_up(service: Service, systemd: Systemd) -> None:
    systemd.of(service, WATCHDOG_USEC="20000").start(START + "healthboard.ready(); work(); sys.stdin.read()")
    eventually(lambda: service.health()["details"].get("work"))
    for _ in range(200):
        assert service.health()["status"] == "OK"
    assert service.end() == ""


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NOTIFY_SOCKET", "vsock:2:1"),
        ("WATCHDOG_USEC", "soon"),
        ("WATCHDOG_USEC", "0"),
        ("WATCHDOG_PID", "me"),
    ],
)
def test_a_value_that_systemd_does_not_set_is_named_in_the_log(
    service: Service, systemd: Systemd, variable: str, value: str
) -> None:
    variables = {"WATCHDOG_USEC": "1000000", variable: value}
    systemd.of(service, **variables).start(START + "work(); sys.stdin.read()")
    assert service.health()["status"] == "OK"
    eventually(lambda: service.health()["details"].get("work"))
    assert f"{variable} is `{value}`, expected " in service.end()


def test_a_spawned_process_can_tell_systemd_although_its_parent_has_lost_the_address(
    service: Service, systemd: Systemd
) -> None:
    systemd.of(service).start(
        """
import multiprocessing, os, sys, time

def child():
    import healthboard
    healthboard.record_ok("work")
    os.write(1, os.environ.get("NOTIFY_SOCKET", "none").encode() + b"\\n")

if __name__ == "__main__":
    import healthboard
    healthboard.record_ok("work")
    os.environ.pop("NOTIFY_SOCKET", None)
    process = multiprocessing.get_context("spawn").Process(target=child)
    process.start(); process.join()
    assert "NOTIFY_SOCKET" not in os.environ
""",
        launch=True,
    )
    assert str(service.folder / "notify") in service.end()
