"""systemd's watchdog is petted exactly as long as the service progresses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from systemd import Systemd
from test_processes import START
from test_servers import PREFORK, Server, gunicorn_without_preload

from conftest import Service, eventually

PET = "WATCHDOG=1"


def with_watchdog(systemd: Systemd, service: Service, microseconds: int) -> Service:
    return systemd.of(service, WATCHDOG_USEC=str(microseconds))


def is_silent(systemd: Systemd, seconds: float) -> bool:
    """Tell whether nobody pets the watchdog for a while."""
    systemd.lines()
    try:
        return not systemd.line(PET, within=seconds)
    except TimeoutError:
        return True


# For each line of input, holds the interpreter's lock for that many milliseconds, as C code may.
HOLD_LOCK = """
import ctypes
pause = ctypes.PyDLL(None).poll
for line in sys.stdin:
    print("held", flush=True)
    pause(None, 0, int(line))
    print("let go", flush=True)
"""


def test_it_is_petted_twice_per_timeout_even_if_that_is_short(service: Service, systemd: Systemd) -> None:
    with_watchdog(systemd, service, 400_000).start(START + "sys.stdin.read()")
    assert systemd.line(PET)
    assert service.process is not None
    # These take 1.5 s. Petting once a second would be too slow.
    for _ in range(7):
        assert systemd.line(PET, within=0.4 * 2)


def test_it_is_not_petted_while_the_interpreter_hangs(service: Service, systemd: Systemd) -> None:
    service.environment["HEALTHBOARD_PROGRESS__TTL"] = "2"
    with_watchdog(systemd, service, 200_000).start(START + HOLD_LOCK)
    assert systemd.line(PET)
    assert service.process is not None
    assert service.process.stdin is not None
    assert service.process.stdout is not None
    service.process.stdin.write("8000\n")
    service.process.stdin.flush()
    assert service.process.stdout.readline() == "held\n"
    # It counts as hung from its ttl on.
    eventually(lambda: is_silent(systemd, 1.5), within=6)
    assert service.process.stdout.readline() == "let go\n"
    assert systemd.line(PET)


def test_a_master_does_not_pet_it_for_workers_that_all_hang(service: Service, systemd: Systemd) -> None:
    with_watchdog(systemd, service, 200_000).start(
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
    assert systemd.line(PET)
    eventually(lambda: service.health()["processes"]["alive"] == 3)
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write("freeze\n")
    service.process.stdin.flush()
    eventually(lambda: service.health()["processes"]["hung"] == 2)
    assert service.health()["status"] == "FAULT"

    eventually(lambda: is_silent(systemd, 0.6))
    service.process.stdin.write("thaw\n")
    service.process.stdin.flush()
    assert systemd.line(PET)
    service.process.stdin.write("end\n")
    service.process.stdin.flush()


# systemd names the main process, which is what becomes of the one that runs this.
NAME = "import os, sys; os.environ['WATCHDOG_PID'] = str(os.getpid()); os.execvp(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize("serve", [PREFORK, gunicorn_without_preload], ids=["uwsgi", "gunicorn"])
def test_whatever_process_serves_pets_it_for_the_one_that_is_watched(
    tmp_path: Path, systemd: Systemd, serve: Callable[[Server], Server]
) -> None:
    server = Server(tmp_path)
    try:
        with_watchdog(systemd, server, 1_000_000)
        server.wrapper = (sys.executable, "-c", NAME)
        serve(server)
        eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
        systemd.lines()
        assert systemd.line(PET)
    finally:
        server.stop()
