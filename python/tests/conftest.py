"""Shared by the tests: a service in a process of its own, and a probe."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    from servers import MariaDb
    from systemd import Systemd

T = TypeVar("T")

RUN = Path(sys.executable).with_name("healthboard-run")

# A shell starts background jobs with this signal ignored, and so would the programs of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


def eventually(condition: Callable[[], T], within: float = 15.0) -> T:
    """Wait until `condition` returns a true value, and return it. Fail after `within` seconds."""
    end = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < end, f"not within {within:g} s"
        time.sleep(0.02)
    return answer


# The index of the phase in a board's header. It is zero until the process drains or says goodbye.
PHASE_WORD = 24


def all_ended_in_order(folder: Path) -> bool:
    """Tell whether every process that has left a board has said before its end that it was about to end."""
    boards = [path.read_bytes() for path in folder.glob("run/*/*.board")]
    return all(int.from_bytes(board[PHASE_WORD * 8 :][:8], sys.byteorder) for board in boards)


# Python has no name for it.
CLOCK_MONOTONIC_COARSE = 6


def ask(path: Path, target: str = "/health") -> tuple[int, str]:
    """Probe a unix socket. The returned HTTP status and body include everything recorded before."""
    # The endpoint makes a new report at most once in each tick of the coarse clock.
    now = time.clock_gettime_ns(CLOCK_MONOTONIC_COARSE)
    while time.clock_gettime_ns(CLOCK_MONOTONIC_COARSE) == now:
        time.sleep(0.0005)
    connection = http.client.HTTPConnection("localhost", timeout=10)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    with connection.sock:
        connection.sock.connect(str(path))
        connection.request("GET", target)
        response = connection.getresponse()
        return response.status, response.read().decode()


class Service:
    """A Python program as an operator runs it, in a folder of its own."""

    def __init__(self, folder: Path, name: str = "svc") -> None:
        self.folder = folder
        self.name = name
        self.socket = folder / "health.sock"
        self.environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("HEALTHBOARD_")},
            # Python 3.12 and later warn of every fork of a process with several threads.
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
            "HEALTHBOARD_URI": f"unix://{self.socket}",
            "HEALTHBOARD_RUNTIME_DIR": str(folder / "run"),
        }
        (folder / "run").mkdir()
        self.process: subprocess.Popen[str] | None = None

    def start(self, program: str, *, launch: bool = False) -> Service:
        """Run this source text; with `launch`, through `healthboard-run`."""
        file = self.folder / self.name
        file.write_text(f"#!{sys.executable}\n{program}")
        file.chmod(0o755)
        command = [str(RUN), str(file)] if launch else [sys.executable, str(file)]
        self.process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        return self

    def end(self, within: float = 30.0) -> str:
        """Close its input, wait for its end, and return its output."""
        assert self.process is not None
        output, _ = self.process.communicate(timeout=within)
        return output

    def run(self, program: str, *, launch: bool = False) -> str:
        """Run this source text, assert that it succeeds, and return its output."""
        output = self.start(program, launch=launch).end()
        assert self.process is not None
        assert self.process.returncode == 0, output
        return output

    def answers(self) -> str:
        """Return the answer to a probe, or "" if there is none."""
        try:
            return ask(self.socket)[1]
        except OSError:
            return ""

    def status(self, target: str) -> int:
        """Return the HTTP status of a probe, or 0 if there is no answer."""
        try:
            return ask(self.socket, target)[0]
        except OSError:
            return 0

    def health(self) -> dict[str, Any]:
        """Return the report as soon as the service answers."""
        return json.loads(eventually(self.answers))  # type: ignore[no-any-return]

    def stop(self) -> None:
        if self.process is not None:
            # Kill its children, too: they hold its output open.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service that has not been started."""
    service = Service(tmp_path)
    yield service
    service.stop()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """Stands for systemd."""
    from systemd import Systemd

    systemd = Systemd(tmp_path)
    yield systemd
    systemd.close()


@pytest.fixture(scope="session")
def own_socket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The endpoint of the process that runs the tests."""
    import healthboard

    folder = tmp_path_factory.mktemp("own")
    path = folder / "health.sock"
    options = {"uri": f"unix://{path}", "runtime_dir": str(folder), "error_detail": "message"}
    assert healthboard.start("tests", options, environment={}) == []
    eventually(path.exists)
    return path


@pytest.fixture
def evidence(own_socket: Path) -> Callable[[str], dict[str, Any]]:
    """Look up an indicator in the report of the process that runs the tests."""

    def look(name: str) -> dict[str, Any]:
        return json.loads(ask(own_socket)[1])["details"][name]  # type: ignore[no-any-return]

    return look


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariaDb]:
    """A MariaDB with a table `t`."""
    from servers import MariaDb

    with MariaDb() as server:
        server.sql("create table app.t (a int)")
        yield server
