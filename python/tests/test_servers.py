"""Services with workers forked by oslo.service, cotyledon, gunicorn or uWSGI."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_hosts import probing
from test_services import EVENTLET, MASTER, THREADING, children_of

from conftest import RUN, Service, all_ended_in_order, ask, eventually


class Server(Service):
    """A program that runs in a server. Its health has a port in addition to the socket."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port, self.web = _free_port(), _free_port()
        self.environment["HEALTHBOARD_URI"] += f",tcp://127.0.0.1:{self.port}"
        self.environment["HEALTHBOARD_PROGRESS__TTL"] = "2"
        # What runs the server, if anything does.
        self.wrapper: tuple[str, ...] = ()

    def serve(self, program: str, *command: str) -> Server:
        """Write this source text to `app.py`, and run the command with `healthboard-run`."""
        (self.folder / "app.py").write_text(program)
        with (self.folder / "output").open("w") as output:
            self.process = subprocess.Popen(
                [*self.wrapper, str(RUN), "--service", "svc", *command],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        return self

    def output(self) -> str:
        return (self.folder / "output").read_text()

    def try_health(self) -> dict[str, Any] | None:
        """What it answers, if somebody does."""
        answer = self.answers()
        return json.loads(answer) if answer else None

    def workers(self) -> list[int]:
        assert self.process is not None
        return children_of(f"/proc/{self.process.pid}/task")

    def boards(self) -> set[int]:
        """Return the pids of the processes that have a board."""
        return {int(path.name.partition("-")[0]) for path in self.folder.glob("run/svc/*.board")}

    def listeners(self) -> tuple[int, int]:
        """Return how many sockets listen at the path and at the port of the endpoint."""
        unix = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
        tcp = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
        assert self.process is not None
        ours = set[str]()
        for pid in (self.process.pid, *self.workers()):
            # The keeper has a descriptor table of its own.
            for descriptor in Path("/proc").glob(f"{pid}/task/*/fd/*"):
                with contextlib.suppress(OSError):
                    ours.add(os.readlink(descriptor))
        return (
            # The flag of sockets that listen, and the temporary name that ours was bound to.
            sum(
                line[3] == "00010000"
                and f"/.{self.socket.name}." in line[-1]
                and f"socket:[{line[6]}]" in ours
                for line in unix
            ),
            sum(line[3] == "0A" and line[1] == f"0100007F:{self.port:04X}" for line in tcp),
        )

    def get(self, path: str) -> str:
        """Make a request to the program itself."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}", timeout=10) as response:
            return str(response.read().decode())


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that has not been started."""
    server = Server(tmp_path)
    yield server
    server.stop()


CONFIGURED = """
import atexit, ctypes, os, sys, time
from oslo_config import cfg
import healthboard
cfg.CONF([], project="svc", default_config_files=[], default_config_dirs=[])
"""

APPLICATION = (
    CONFIGURED
    + """
def application(environ, start_response):
    healthboard.record_ok("work")
    if environ["PATH_INFO"] == "/environment":
        start_response("200 OK", [])
        return [str([name for name in os.environ if name.startswith("HEALTHBOARD_")]).encode()]
    if environ["PATH_INFO"] in ("/pid", "/never-end"):
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]
    if environ["PATH_INFO"] == "/never-end":
        atexit.register(time.sleep, 3600)
    if environ["PATH_INFO"] == "/crash":
        ctypes.string_at(0)
    if environ["PATH_INFO"] == "/slow":
        print("has begun", flush=True)
        time.sleep(2)
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]
"""
)

COTYLEDON = (
    CONFIGURED
    + """
import cotyledon
class Worker(cotyledon.Service):
    def run(self): healthboard.record_ok("work")
manager = cotyledon.ServiceManager()
manager.add(Worker, workers=2)
manager.run()
"""
)


def oslo(backend: dict[str, str]) -> Callable[[Server], Server]:
    pytest.importorskip("oslo_service")
    return lambda server: server.serve(MASTER.format(**backend, workers=2), sys.executable, "app.py")


def cotyledon(server: Server) -> Server:
    pytest.importorskip("cotyledon")
    return server.serve(COTYLEDON, sys.executable, "app.py")


def gunicorn(server: Server, application: str = APPLICATION, *more: str) -> Server:
    pytest.importorskip("gunicorn")
    options = f"--preload --workers 2 --bind 127.0.0.1:{server.web} --worker-tmp-dir . app".split()
    return server.serve(application, sys.executable, "-m", "gunicorn", *more, *options)


def gunicorn_without_preload(server: Server) -> Server:
    pytest.importorskip("gunicorn")
    options = f"--workers 2 --bind 127.0.0.1:{server.web} --worker-tmp-dir . app".split()
    return server.serve(APPLICATION, sys.executable, "-m", "gunicorn", *options)


def uwsgi(*options: str) -> Callable[..., Server]:
    program = Path(sys.executable).with_name("uwsgi")
    if not program.exists():
        return lambda *_: pytest.skip("there is no uwsgi")
    line = "--master --processes 2 --die-on-term --need-app --wsgi-file app.py"
    return lambda server, application=APPLICATION: server.serve(
        application,
        str(program),
        *line.split(),
        *("--http-socket", f"127.0.0.1:{server.web}", "-H", sys.prefix),
        *options,
    )


# A worker that was just forked misses the signal to end. uWSGI kills it after the mercy.
RELOAD_OPTIONS = ("--enable-threads", "--worker-reload-mercy", "1")
PREFORK = uwsgi("--enable-threads")
LAZY = uwsgi("--enable-threads", "--lazy-apps")

SERVERS = {
    "oslo_threading": oslo(THREADING),
    "oslo_eventlet": oslo(EVENTLET),
    "cotyledon": cotyledon,
    "gunicorn": gunicorn,
    "uwsgi": PREFORK,
    "uwsgi_lazy": LAZY,
}


@pytest.mark.parametrize("serve", SERVERS.values(), ids=SERVERS)
def test_all_workers_of_a_server_share_one_listener(
    server: Server, serve: Callable[[Server], Server]
) -> None:
    assert serve(server).process is not None
    # There has been no request yet.
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    eventually(server.answers)
    eventually(lambda: server.listeners() == (1, 1))
    # With lazy workers, the master never loads the program and its configuration.
    masters = 0 if serve is LAZY else 1
    eventually(lambda: server.health()["processes"]["alive"] == 2 + masters)
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    # The killed worker may not be dead yet.
    seen = {"alive": 2 + masters, "dead": 1}
    health = eventually(lambda: seen.items() <= (h := server.health())["processes"].items() and h)
    assert health["status"] == "DEGRADED"
    assert str(killed) in health["message"]
    eventually(lambda: set(server.workers()) <= server.boards() - {killed})
    eventually(lambda: server.listeners() == (1, 1))


# A program that can log only after health has started.
LATE_LOG = (
    APPLICATION
    + """
import logging
from healthboard import notices
logging.basicConfig(format="%(process)d %(message)s")

def application(environ, start_response, application=application):
    answer = application(environ, start_response)
    return [b"" if notices._pending else b"%d" % os.getpid()] if environ["PATH_INFO"] == "/logs" else answer
"""
).replace('("Content-Length", "0")', "")


@pytest.mark.parametrize(
    "serve",
    [gunicorn, uwsgi("--enable-threads", "--max-requests", "3", "--min-worker-lifetime", "1")],
    ids=["gunicorn", "uwsgi"],
)
def test_a_line_from_before_the_fork_is_logged_by_one_process(
    server: Server, serve: Callable[..., Server]
) -> None:
    server.environment["HEALTHBOARD_TTL"] = "never"
    more = ("--max-requests", "3") if serve is gunicorn else ()
    serve(server, LATE_LOG, *more)
    workers: set[str] = set()

    def has_logged() -> bool:
        with contextlib.suppress(OSError, http.client.HTTPException):
            workers.add(server.get("/logs"))
        return len(workers - {""}) >= 5

    eventually(has_logged, within=60)
    assert server.output().count("HEALTHBOARD_TTL`: found `never`") == 1, server.output()


# In workers the package is gone.
GONE = """
MASTER = os.getpid()
class Gone:
    missed = []
    def find_spec(self, name, path=None, target=None):
        if name.startswith("healthboard") and os.getpid() != MASTER:
            self.missed.append(name)
            raise ImportError(f"{name} is gone")
sys.meta_path.insert(0, Gone())

def application(environ, start_response, application=application):
    answer = application(environ, start_response)
    return [" ".join(Gone.missed).encode()] if environ["PATH_INFO"] == "/missed" else answer
"""


def test_a_worker_of_uwsgi_misses_nothing_of_a_package_that_was_removed(server: Server) -> None:
    PREFORK(server, APPLICATION.replace(', [("Content-Length", "0")]', ", []") + GONE)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    eventually(lambda: server.health()["details"]["progress"]["state"] == "passing")
    server.get("/")
    eventually(lambda: server.health()["details"]["requests"]["state"] == "passing")
    assert server.get("/missed") == ""


@pytest.mark.parametrize("serve", SERVERS.values(), ids=SERVERS)
def test_workers_that_die_again_and_again_are_a_fault(
    server: Server, serve: Callable[[Server], Server]
) -> None:
    serve(server)

    def crash() -> dict[str, Any] | None:
        # With lazy workers nobody answers until the next one has started.
        health = server.try_health()
        for worker in set(server.workers()) & server.boards() if health else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        return health if health and health["status"] == "FAULT" else None

    seen = eventually(crash, within=60)
    assert seen["message"].startswith("no worker stays alive; process "), seen
    assert seen["processes"]["dead"] > 1
    # The next ones stay.
    eventually(lambda: (h := server.try_health()) and h["status"] == "DEGRADED", within=60)


def test_a_server_that_gives_up_its_start_is_dead_and_not_stopped(server: Server) -> None:
    pytest.importorskip("gunicorn")
    options = f"--workers 1 --bind 127.0.0.1:{server.web} --worker-tmp-dir . app".split()
    server.serve(
        APPLICATION + "\nraise RuntimeError('no configuration')\n", sys.executable, "-m", "gunicorn", *options
    )
    assert server.process is not None
    server.process.wait(timeout=30)
    assert list(server.folder.glob("run/*/*.board"))
    assert not all_ended_in_order(server.folder)


# uWSGI exits in its handler of the signal, for sure if there is no other thread of Python to get it again.
@pytest.mark.parametrize(
    "serve", [gunicorn, uwsgi(), PREFORK, LAZY], ids=["gunicorn", "uwsgi_one_thread", "uwsgi", "uwsgi_lazy"]
)
def test_a_worker_with_a_segmentation_fault_has_died(
    server: Server, serve: Callable[[Server], Server]
) -> None:
    serve(server)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    before = set(server.workers())
    with contextlib.suppress(OSError, http.client.HTTPException):
        server.get("/crash")
    died = eventually(lambda: before - set(server.workers())).pop()
    health = eventually(lambda: (h := server.health())["processes"]["dead"] == 1 and h)
    assert health["status"] == "DEGRADED"
    assert f"process {died} died" in health["message"]


@pytest.mark.parametrize(
    "options",
    [
        ("--max-requests", "3", "--min-worker-lifetime", "1"),
        # Any of the threads may end the worker, and all but the first block all signals.
        ("--threads", "4", "--max-requests", "3", "--min-worker-lifetime", "1"),
        ("--cheaper", "1", "--cheaper-initial", "2"),
    ],
)
def test_a_worker_that_uwsgi_ends_by_itself_has_not_died(server: Server, options: tuple[str, ...]) -> None:
    uwsgi("--enable-threads", *options)(server)
    before = eventually(lambda: len(workers := set(server.workers())) == 2 and workers)
    eventually(lambda: before <= server.boards())

    def is_ended() -> bool:
        if "--cheaper" not in options:
            server.get("/")
        return not before <= set(server.workers())

    eventually(is_ended, within=60)
    health = eventually(lambda: (h := server.try_health()) and h["processes"]["alive"] >= 2 and h)
    assert (health["status"], health["processes"]["dead"]) == ("OK", 0), health


# systemd sends the signal to all processes of a service. A worker of gunicorn then gets a second one from its
# master at the end of its interpreter, where nothing handles it any more: it is ended without a goodbye.
ENDINGS = {name: (serve, False) for name, serve in SERVERS.items()} | {
    f"{name}-all": (serve, True) for name, serve in SERVERS.items() if serve is not gunicorn
}


@pytest.mark.parametrize(("serve", "to_all"), ENDINGS.values(), ids=ENDINGS)
def test_a_server_that_is_told_to_end_ends_and_all_its_processes_say_goodbye(
    server: Server, serve: Callable[[Server], Server], to_all: bool
) -> None:
    assert serve(server).process is not None
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    if serve in (gunicorn, PREFORK, LAZY):
        # A worker that was just forked may not have its signal handlers yet.
        served: set[int] = set()
        eventually(lambda: served.add(int(server.get("/pid"))) or set(server.workers()) <= served)
    (os.killpg if to_all else os.kill)(server.process.pid, signal.SIGTERM)
    server.process.wait(30)
    assert all_ended_in_order(server.folder)


@pytest.mark.parametrize("serve", [gunicorn, PREFORK, LAZY], ids=["gunicorn", "uwsgi", "uwsgi_lazy"])
def test_workers_without_requests_are_ok(server: Server, serve: Callable[[Server], Server]) -> None:
    serve(server)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    end = time.monotonic() + 4
    while time.monotonic() < end:
        health = server.health()
        assert (health["status"], health["processes"]["hung"]) == ("OK", 0), health
    server.get("/")
    eventually(lambda: server.health()["details"].get("work", {}).get("state") == "passing")


def test_mules_and_spoolers_of_uwsgi_are_not_workers(server: Server) -> None:
    uwsgi("--enable-threads", "--mule", "--spooler", ".")(server)
    eventually(lambda: len(server.workers()) == 4 and len(server.boards()) >= 3)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        # The workers and their master.
        assert server.health()["processes"]["alive"] == 3


def test_the_master_of_uwsgi_answers_while_no_worker_can(server: Server) -> None:
    PREFORK(server)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    assert server.process is not None
    master = server.process.pid
    # A worker serves, once it has stood by for a while.
    eventually(lambda: server.health()["processes"]["serving"] in server.workers())
    workers = server.workers()
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    health = eventually(lambda: (h := server.try_health()) and h["processes"].get("serving") == master and h)
    assert health["processes"]["alive"] == 3
    # And it says so as soon as they count as hung.
    health = eventually(lambda: (h := server.try_health()) and h["status"] == "FAULT" and h)
    assert "not progressing" in health["message"]
    for worker in workers:
        os.kill(worker, signal.SIGCONT)
    eventually(lambda: server.health()["status"] == "OK")


@pytest.mark.parametrize("serve", [PREFORK, LAZY], ids=["uwsgi", "uwsgi_lazy"])
def test_workers_of_uwsgi_that_do_not_come_to_their_end_drain(
    server: Server, serve: Callable[[Server], Server]
) -> None:
    serve(server)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    started = set[int]()
    eventually(lambda: started.add(int(server.get("/never-end"))) or set(server.workers()) <= started)
    for worker in started:
        os.kill(worker, signal.SIGTERM)
    eventually(lambda: server.status("/readyz") == 503)
    for worker in started:
        os.kill(worker, signal.SIGKILL)
    # Its master starts others. The killed ones were told to end: they have not died.
    eventually(lambda: len(new := set(server.workers()) - started) == 2 and new <= server.boards())
    assert server.health()["status"] == "OK"


def test_a_server_drains_from_the_signal_to_its_end(server: Server) -> None:
    gunicorn(server)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    with probing(server, "/readyz") as ready, probing(server, "/livez") as alive:
        eventually(lambda: ready.answers() == ["200"])
        with socket.create_connection(("127.0.0.1", server.web)) as request:
            request.sendall(b"GET /slow HTTP/1.0\r\n\r\n")
            eventually(lambda: "has begun" in server.output())
            assert server.process is not None
            server.process.terminate()
            assert request.makefile("rb").readline().endswith(b"200 OK\r\n")
        server.process.wait(30)
        eventually(lambda: ready.answers()[-1] == alive.answers()[-1] == "none")
    ready.assert_answers("200", "503")
    alive.assert_answers("200")


@pytest.mark.parametrize("options", [(), ("--lazy-apps",)], ids=["uwsgi", "uwsgi_lazy"])
def test_a_reloaded_uwsgi_reports_again_and_its_workers_have_none_of_our_variables(
    server: Server, options: tuple[str, ...]
) -> None:
    # On a reload pyuwsgi executes the base interpreter, outside the virtual environment.
    paths = [os.environ.get("PYTHONPATH", ""), sysconfig.get_path("purelib")]
    server.environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    uwsgi(*RELOAD_OPTIONS, *options)(server)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    before = set(server.workers())
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    eventually(lambda: len(server.workers()) == 2 and not before & set(server.workers()))
    eventually(lambda: set(server.workers()) <= server.boards())
    masters = 0 if options else 1
    eventually(lambda: server.health()["processes"]["alive"] == 2 + masters)
    # The master has executed itself anew, and has not died.
    assert f"process {server.process.pid} died" not in server.health().get("message", "")
    assert server.get("/environment") == str([])


def test_a_gunicorn_that_executes_itself_again_reports_again(server: Server) -> None:
    gunicorn(server)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    before = {*server.workers()}
    assert server.process is not None
    server.process.send_signal(signal.SIGUSR2)
    new = eventually(lambda: set(server.workers()) - before).pop()
    workers = eventually(lambda: len(children := children_of(f"/proc/{new}/task")) == 2 and children)
    server.process.terminate()
    server.process.wait(30)
    eventually(lambda: server.boards() == {new, *workers})
    assert server.health()["status"] == "OK"


@pytest.mark.parametrize(
    "serve",
    [gunicorn, uwsgi(*RELOAD_OPTIONS), uwsgi(*RELOAD_OPTIONS, "--lazy-apps")],
    ids=["gunicorn", "uwsgi", "uwsgi_lazy"],
)
def test_a_server_that_is_stopped_is_not_ready_until_its_end(
    server: Server, serve: Callable[[Server], Server]
) -> None:
    serve(server)
    eventually(lambda: len(server.workers()) == 2 and set(server.workers()) <= server.boards())
    eventually(lambda: ask(server.socket, "/readyz")[0] == 200)
    assert server.process is not None
    server.process.terminate()
    seen = []
    while server.process.poll() is None:
        with contextlib.suppress(OSError):
            seen.append(ask(server.socket, "/readyz")[0])
    while seen and seen[0] == 200:
        seen.pop(0)
    assert set(seen) <= {503}, seen


# Stands for a worker of uWSGI before 2.0.27 without `enable-threads`.
WITHOUT_THREADS = """
import sys, types
sys.modules["uwsgi"] = types.SimpleNamespace(worker_id=lambda: 1, has_threads=0, opt={"threads": b"0"})
"""


def test_without_threads_a_warning_names_the_missing_option_and_the_service_is_ok(server: Server) -> None:
    server.serve(
        WITHOUT_THREADS + CONFIGURED + "healthboard.record_ok('work'); sys.stdin.read()",
        sys.executable,
        "app.py",
    )
    eventually(lambda: "enable-threads" in server.output())
    end = time.monotonic() + 4
    while time.monotonic() < end:
        health = server.health()
        assert (health["status"], health["processes"]["hung"]) == ("OK", 0), health
    assert health["details"]["work"]["state"] == "passing"
    assert health["details"]["progress"]["state"] == "unknown"
