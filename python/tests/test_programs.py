"""Programs that know nothing of healthboard and do not use oslo.config: names, children, and how they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_requests import ASGI, WSGI, asgi_worker, module
from test_servers import Server, server
from test_services import children_of

from conftest import RUN, Service, all_ended_in_order, eventually

__all__ = ["server"]


def launch(service: Service, *command: str, **files: str) -> Service:
    """Write these files, `__` for `/`, and run the command with `healthboard-run`, without a name."""
    for name, text in files.items():
        path = service.folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with (service.folder / "output").open("w") as output:
        service.process = subprocess.Popen(
            [str(RUN), *command],
            cwd=service.folder,
            env=service.environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    return service


def program(name: str) -> str:
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        pytest.skip(f"there is no {name}")
    return str(path)


def test_a_board_is_kept_without_an_endpoint(service: Service) -> None:
    service.environment["HEALTHBOARD_URI"] = "board"
    worker = "import healthboard, time\nhealthboard.record_ok('work')\ntime.sleep(60)\n"
    launch(service, sys.executable, "worker.py", worker=worker)
    boards = service.folder / "run" / "worker"
    eventually(lambda: any(boards.glob("*.board")))
    assert not service.socket.exists()
    assert "healthboard" not in (service.folder / "output").read_text()


UWSGI = ("--master", "--die-on-term", "--enable-threads", "--http-socket", "127.0.0.1:0", "-H", sys.prefix)
GUNICORN = (
    sys.executable,
    "-m",
    "gunicorn",
    "--bind=127.0.0.1:0",
    "--worker-tmp-dir=.",
    "--no-control-socket",
)
LOOP = "import time\nwhile True: time.sleep(0.1)"

NAMES: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "shop-api": (("uwsgi", *UWSGI, "--module", "shop.wsgi.api:application"), {"shop__wsgi__api": WSGI}),
    "shop": (("uwsgi", *UWSGI, "--module", "shop.wsgi"), {"shop__wsgi": WSGI}),
    "shop-admin": (
        ("uwsgi", *UWSGI, "--wsgi-file", "bin/shop-admin-wsgi.py"),
        {"bin__shop-admin-wsgi": WSGI},
    ),
    "shop-web": (("uwsgi", *UWSGI, "--mount", "/x=shop_web.py"), {"shop_web": WSGI}),
    "shop-green": ((*GUNICORN, "shop.wsgi.green"), {"shop__wsgi__green": WSGI}),
    "shop-blue": ((*GUNICORN, "shop.blue:application"), {"shop__blue": WSGI}),
    "shop-live": (
        (sys.executable, "-m", "uvicorn", "--port=0", "shop.live:application"),
        {"shop__live": ASGI},
    ),
    "shop-daemon": ((sys.executable, "-m", "shop.daemon"), {"shop__daemon": LOOP}),
    "shopd": ((sys.executable, "shopd.py"), {"shopd": LOOP}),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_program_has_the_name_of_its_application_and_starts_by_itself(service: Service, name: str) -> None:
    command, files = NAMES[name]
    for needed in ("gunicorn", "uvicorn"):
        if needed in command:
            pytest.importorskip(needed)
    executable = program("uwsgi") if command[0] == "uwsgi" else command[0]
    launch(service, executable, *command[1:], **files)
    assert service.health()["service"] == name


def test_python_m_healthboard_runs_a_program(service: Service) -> None:
    service.start(LOOP)
    service.stop()
    command = [sys.executable, "-m", "healthboard", sys.executable, "svc"]
    service.process = subprocess.Popen(
        command,
        cwd=service.folder,
        env=service.environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert service.health()["service"] == "svc"


OBSTACLES = {
    f"#!{sys.executable} -I": "`-I` in the first line of",
    f"#!{sys.executable} -Es": "`-Es` in the first line of",
    f"#!/usr/bin/env -S {sys.executable} -I": "`-I` in the first line of",
    "#!/usr/bin/perl": "is a program for perl",
}


@pytest.mark.parametrize("line", OBSTACLES)
def test_a_program_that_cannot_be_hooked_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "svc"
    file.write_text(f"{line}\nexit(0)\n")
    file.chmod(0o755)
    answer = subprocess.run([str(RUN), str(file)], capture_output=True, text=True, check=False)
    words = answer.stderr.splitlines()[0]
    assert words.startswith("healthboard-run: the program runs without health: ")
    assert OBSTACLES[line] in words


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([sys.executable, "-I", "-c", "pass"], "`-I` in the command"),
        ([sys.executable, "-W", "ignore", "-ES", "-c", "pass"], "`-ES` in the command"),
        (["/bin/true"], "/bin/true is not a Python program"),
    ],
)
def test_a_command_that_cannot_be_hooked_is_named(command: list[str], words: str) -> None:
    answer = subprocess.run([str(RUN), *command], capture_output=True, text=True, check=True)
    assert words in answer.stderr


@pytest.mark.parametrize(
    "command", [["/bin/sh", "-c", "true"], ["env", "true"], [sys.executable, "-c", "'-I'"]]
)
def test_nothing_is_said_of_what_may_start_a_python_program(command: list[str]) -> None:
    environment = {**os.environ, "HEALTHBOARD_URI": "unix:///nowhere"}
    answer = subprocess.run([str(RUN), *command], env=environment, capture_output=True, text=True, check=True)
    assert answer.stderr == ""


def test_a_server_whose_program_names_no_endpoint_says_so_once(service: Service) -> None:
    pytest.importorskip("gunicorn")
    del service.environment["HEALTHBOARD_URI"]
    launch(service, *GUNICORN, "app:application", app=WSGI)
    output = service.folder / "output"
    eventually(lambda: "HEALTHBOARD_URI" in output.read_text())
    eventually(lambda: "Booting worker" in output.read_text())
    time.sleep(1)
    assert output.read_text().count("the program runs without health") == 1


CHILDREN = """
import multiprocessing, os, sys, time
def work(): time.sleep(60)
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    processes = [context.Process(target=work) for _ in range(2)]
    for process in processes: process.start()
    print(*[process.pid for process in processes], flush=True)
    sys.stdin.readline()
    for process in processes: process.terminate()
    for process in processes: process.join()
    print("joined", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_are_known_and_their_end_is_in_order(
    service: Service, method: str
) -> None:
    launch(service, sys.executable, "main.py", main=CHILDREN.format(method=method))
    eventually(lambda: service.health()["processes"]["alive"] == 3)
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write("\n")
    service.process.stdin.flush()
    eventually(lambda: "joined" in (service.folder / "output").read_text())
    eventually(lambda: service.health()["processes"]["alive"] == 1)
    health = service.health()
    assert (health["status"], health["processes"]["dead"]) == ("OK", 0), health


def test_a_killed_process_of_multiprocessing_is_a_death(service: Service) -> None:
    launch(service, sys.executable, "main.py", main=CHILDREN.format(method="fork"))
    eventually(lambda: service.health()["processes"]["alive"] == 3)
    killed = (service.folder / "output").read_text().split()[0]
    os.kill(int(killed), signal.SIGKILL)
    health = eventually(lambda: (h := service.health())["processes"]["dead"] == 1 and h)
    assert killed in health["message"]


POOL = """
import concurrent.futures, multiprocessing, time
def work(n): return n
if __name__ == "__main__":
    while True:
        with multiprocessing.Pool(2) as pool: pool.map(work, range(4))
        with concurrent.futures.ProcessPoolExecutor(2) as pool: list(pool.map(work, range(4)))
        print("round", flush=True)
"""


def test_pools_that_come_and_go_are_no_deaths(service: Service) -> None:
    launch(service, sys.executable, "main.py", main=POOL)
    eventually(lambda: (service.folder / "output").read_text().count("round") > 5, within=40)
    health = eventually(lambda: service.answers() and service.health())
    assert health["processes"]["dead"] == 0, health


def test_a_spawned_process_has_the_options_of_its_parent_and_helpers_have_none(service: Service) -> None:
    text = """
import multiprocessing, os, subprocess, sys, time
def work(): print(subprocess.check_output(["env"], text=True).count("HEALTHBOARD"), flush=True)
if __name__ == "__main__":
    import healthboard
    healthboard.start("named", {"ttl": "77"})
    healthboard.record_ok("work")
    process = multiprocessing.get_context("spawn").Process(target=work)
    process.start(); process.join()
    work()
    print(os.listdir(os.environ.get("BOARDS")), flush=True)
    sys.stdin.readline()
"""
    service.environment["BOARDS"] = str(service.folder / "run")
    launch(service, sys.executable, "main.py", main=text)
    eventually(lambda: (service.folder / "output").read_text() == "0\n0\n['named']\n")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_is_told_to_end_says_goodbye_and_ends_by_the_signal(
    service: Service, ending: int
) -> None:
    launch(service, sys.executable, "main.py", main=LOOP)
    service.health()
    assert service.process is not None
    service.process.send_signal(ending)
    assert service.process.wait(10) == -ending
    assert all_ended_in_order(service.folder)


def test_a_program_that_is_killed_says_no_goodbye(service: Service) -> None:
    launch(service, sys.executable, "main.py", main=LOOP)
    service.health()
    assert service.process is not None
    service.process.kill()
    service.process.wait(10)
    assert not all_ended_in_order(service.folder)


SERVERS: dict[str, tuple[Callable[[Server, str], Server], int]] = {
    "uvicorn": (module("uvicorn", "--port={port}", "app:application"), 1),
    "uvicorn_workers": (module("uvicorn", "--port={port}", "--workers=2", "app:application"), 3),
    "gunicorn_uvicorn": (asgi_worker("uvicorn.workers.UvicornWorker"), 2),
    "gunicorn_asgi": (asgi_worker("asgi"), 2),
    "hypercorn": (module("hypercorn", "--bind=127.0.0.1:{port}", "--workers=2", "app:application"), 3),
    "daphne": (module("daphne", "--port={port}", "app:application"), 1),
}


@pytest.mark.parametrize(("serve", "processes"), SERVERS.values(), ids=SERVERS)
def test_an_asgi_server_that_is_told_to_end_says_goodbye(
    server: Server, serve: Callable[[Server, str], Server], processes: int
) -> None:
    serve(server, ASGI)
    eventually(lambda: (h := server.try_health()) and h["processes"]["alive"] == processes)
    assert server.process is not None
    server.process.terminate()
    server.process.wait(30)
    eventually(lambda: all_ended_in_order(server.folder))


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real Redis, and its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    try:
        process = subprocess.Popen(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
            cwd=tmp_path_factory.mktemp("redis"),
            stdout=subprocess.DEVNULL,
        )
    except FileNotFoundError:
        pytest.skip("there is no redis-server")
    yield port
    process.terminate()
    process.wait()


CELERY = """
import os, time
import celery
app = celery.Celery("app", broker=f"redis://127.0.0.1:{os.environ['REDIS']}/0")
app.conf.worker_hijack_root_logger = False
@app.task
def add(a, b): return a + b
"""


@pytest.fixture
def worker(service: Service, redis: int, request: pytest.FixtureRequest) -> Service:
    """A Celery worker with two processes in its pool."""
    pytest.importorskip("celery")
    pytest.importorskip("redis")
    service.environment["REDIS"] = str(redis)
    service.environment["HEALTHBOARD_PROGRESS__TTL"] = "2"
    command = (sys.executable, "-m", "celery", "-A", "app", "worker", "--concurrency=2", "--without-gossip")
    launch(service, *command, *getattr(request, "param", ()), app=CELERY)
    eventually(lambda: service.answers() and service.health()["processes"]["alive"] == 3, within=40)
    return service


def pool(service: Service) -> list[int]:
    assert service.process is not None
    return children_of(f"/proc/{service.process.pid}/task")


def test_idle_processes_of_celery_are_known_and_a_frozen_one_is_seen(worker: Service) -> None:
    health: dict[str, Any] = worker.health()
    assert (health["service"], health["status"]) == ("celery", "OK"), health
    frozen = pool(worker)[0]
    os.kill(frozen, signal.SIGSTOP)
    health = eventually(lambda: (h := worker.health())["status"] == "DEGRADED" and h)
    assert f"process {frozen} not progressing" in health["message"], health
    os.kill(frozen, signal.SIGCONT)
    eventually(lambda: worker.health()["status"] == "OK")


def test_a_killed_process_of_celery_is_seen(worker: Service) -> None:
    killed = pool(worker)[0]
    os.kill(killed, signal.SIGKILL)
    health = eventually(lambda: (h := worker.health())["processes"]["dead"] == 1 and h)
    assert f"process {killed} died" in health["message"]


def test_a_celery_worker_that_is_told_to_end_says_goodbye(worker: Service) -> None:
    assert worker.process is not None
    worker.process.terminate()
    worker.process.wait(30)
    assert all_ended_in_order(worker.folder)


@pytest.mark.parametrize("worker", [("--max-tasks-per-child=1",)], indirect=True)
def test_a_process_of_celery_that_has_done_its_tasks_is_no_death(worker: Service) -> None:
    before = set(pool(worker))
    subprocess.run(
        [sys.executable, "-c", "import app; [app.add.delay(1, 2) for _ in range(6)]"],
        cwd=worker.folder,
        env={name: value for name, value in worker.environment.items() if "HEALTHBOARD" not in name},
        check=True,
    )
    eventually(lambda: not before & set(pool(worker)), within=30)
    health = eventually(lambda: (h := worker.health())["processes"]["alive"] == 3 and h)
    assert health["processes"]["dead"] == 0, health
