"""systemd's watchdog hears of a service as long as that progresses, and no longer."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_processes import START
from test_servers import PREFORK, Server, gunicorn_without_preload

from conftest import Service, eventually


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(15)
        yield listener


def watched(service: Service, microseconds: int) -> Service:
    service.environment |= {
        "NOTIFY_SOCKET": str(service.folder / "notify"),
        "WATCHDOG_USEC": str(microseconds),
    }
    return service


def drain(systemd: socket.socket) -> int:
    systemd.setblocking(False)
    heard = 0
    try:
        while systemd.recv(64):
            heard += 1
    except BlockingIOError:
        return heard
    finally:
        systemd.settimeout(15)


# Holds the interpreter, as C code may, from one line on standard input to the next.
HOLD = """
import ctypes
pause = ctypes.PyDLL(None).poll
for line in sys.stdin:
    print("held", flush=True)
    pause(None, 0, int(line))
    print("let go", flush=True)
"""


def test_it_is_petted_twice_in_the_time_it_allows_even_if_that_is_short(
    service: Service, systemd: socket.socket
) -> None:
    watched(service, 400_000).start(START + "sys.stdin.read()")
    assert systemd.recv(64) == b"WATCHDOG=1"
    assert service.process is not None
    # 1.5 s; once a second would be one or two.
    for _ in range(7):
        systemd.settimeout(0.4 * 2)
        assert systemd.recv(64) == b"WATCHDOG=1"


def test_it_is_not_petted_while_the_interpreter_hangs(service: Service, systemd: socket.socket) -> None:
    service.environment["HEALTHBOARD_PROGRESS__TTL"] = "2"
    watched(service, 200_000).start(START + HOLD)
    assert systemd.recv(64) == b"WATCHDOG=1"
    assert service.process is not None
    assert service.process.stdin is not None
    assert service.process.stdout is not None
    service.process.stdin.write("8000\n")
    service.process.stdin.flush()
    assert service.process.stdout.readline() == "held\n"
    # From its ttl on it counts as hung.
    systemd.settimeout(1.5)
    with contextlib.suppress(TimeoutError):
        while systemd.recv(64):
            pass
    assert service.process.stdout.readline() == "let go\n"
    systemd.settimeout(15)
    assert systemd.recv(64) == b"WATCHDOG=1"


def test_a_master_does_not_pet_it_for_workers_that_all_hang(service: Service, systemd: socket.socket) -> None:
    watched(service, 200_000).start(
        START
        + """
import signal
pids = []
for _ in range(2):
    if (pid := os.fork()) == 0:
        work()
        while True: time.sleep(1)
    pids.append(pid)
sys.stdin.readline()
for pid in pids: os.kill(pid, signal.SIGSTOP)
sys.stdin.readline()
for pid in pids: os.kill(pid, signal.SIGCONT)
sys.stdin.readline()
for pid in pids: os.kill(pid, signal.SIGKILL)
"""
    )
    assert systemd.recv(64) == b"WATCHDOG=1"
    eventually(lambda: service.health()["processes"]["alive"] == 3)
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write("freeze\n")
    service.process.stdin.flush()
    eventually(lambda: service.health()["processes"]["hung"] == 2)
    assert service.health()["status"] == "FAULT"

    def silent() -> bool:
        drain(systemd)
        systemd.settimeout(0.6)
        try:
            return not systemd.recv(64)
        except TimeoutError:
            return True

    eventually(silent)
    service.process.stdin.write("thaw\n")
    service.process.stdin.flush()
    systemd.settimeout(15)
    assert systemd.recv(64) == b"WATCHDOG=1"
    service.process.stdin.write("end\n")
    service.process.stdin.flush()


# systemd names the main process, which is what becomes of the one that runs this.
NAME = "import os, sys; os.environ['WATCHDOG_PID'] = str(os.getpid()); os.execvp(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize("serve", [PREFORK, gunicorn_without_preload], ids=["uwsgi", "gunicorn"])
def test_whatever_process_serves_pets_it_for_the_one_that_is_watched(
    tmp_path: Path, systemd: socket.socket, serve: Callable[[Server], Server]
) -> None:
    server = Server(tmp_path)
    try:
        watched(server, 1_000_000)
        server.wrapper = (sys.executable, "-c", NAME)
        serve(server)
        eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
        drain(systemd)
        assert systemd.recv(64) == b"WATCHDOG=1"
    finally:
        server.stop()
