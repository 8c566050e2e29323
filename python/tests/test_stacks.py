"""Where a process hangs: real hangs, told by real reports."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conftest import Service, ask, eventually

START = """
import os, sys, time, threading
import healthboard
from healthboard import healthcheck

problems = healthboard.start("svc", {"progress.ttl": "3"})
assert problems == [], problems

@healthcheck("work")
def work(): return 1

import ctypes
def list_all_domains(password="hunter2"):
    ctypes.PyDLL(None).sleep(9)  # IN C
"""

EVENTLET = """
import warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
"""

# Threads that run Python all the time, in which nobody may look without the interpreter's lock.
BUSY_THREADS = """
def recurse(n): return n and recurse(n - 1)
def spin():
    while True: recurse(50)
"""


def line_of(service: Service, mark: str = "# HANGS") -> int:
    lines = (service.folder / service.name).read_text().splitlines()
    return 1 + next(i for i, line in enumerate(lines) if line.endswith(mark))


def hung(service: Service, *, with_place: bool = True) -> dict[str, Any]:
    """Wait until the service says that it hangs, and where."""

    def hangs() -> dict[str, Any] | bool:
        health = service.health()
        return health["status"] == "FAULT" and (" in " in health["message"] or not with_place) and health

    return eventually(hangs, within=10)  # type: ignore[return-value]


def without_log(output: str) -> str:
    """Without what the service says of itself."""
    return "".join(line for line in output.splitlines(keepends=True) if not line.startswith(("FAULT", "OK")))


def stacks_in(service: Service) -> list[Path]:
    return list(service.folder.glob("run/*/*.stacks"))


def test_a_hang_that_holds_the_interpreter_is_told_with_its_place(service: Service) -> None:
    (service.folder / "manager.py").write_text("def sync(call):\n    call()\n")
    service.start(
        START + "import manager\nwork(); time.sleep(1)\nmanager.sync(list_all_domains)\nsys.stdin.read()"
    )
    message = hung(service)["message"]
    line = line_of(service, "# IN C")
    assert re.fullmatch(
        rf"not progressing for \d+ s, in svc:{line} list_all_domains \(called from manager.py:2\)", message
    ), message
    verbose = json.loads(ask(service.socket, "/health?verbose")[1])
    main = verbose["stacks"][0]["threads"][0]
    assert (main["role"], main["count"]) == ("main", 1)
    assert [re.sub(r":\d+", "", frame) for frame in main["frames"]] == [
        "svc list_all_domains",
        "manager.py sync",
        "svc <module>",
    ]
    expected = f"main thread:\n  svc:{line} list_all_domains\n  manager.py:2 sync\n"
    assert expected in ask(service.socket, "/readyz?verbose")[1]
    assert expected in ask(service.socket, "/livez?verbose")[1]
    assert "stacks" not in service.health()
    # Nothing of what the functions were called with, and nothing that is left when it goes on.
    [file] = stacks_in(service)
    text = file.read_text()
    assert "hunter2" not in text
    assert str(service.folder) not in text
    eventually(lambda: service.health()["status"] == "OK")
    eventually(lambda: not stacks_in(service))
    assert "stacks" not in ask(service.socket, "/health?verbose")[1]


def test_an_earlier_hang_is_not_taken_for_the_present_one(service: Service) -> None:
    service.start(
        START
        + """
def another():
    ctypes.PyDLL(None).sleep(9)  # AGAIN

work(); time.sleep(1); list_all_domains(); time.sleep(1.5); another(); sys.stdin.read()
"""
    )
    assert f"svc:{line_of(service, '# IN C')} list_all_domains" in hung(service)["message"]
    eventually(lambda: service.health()["status"] == "OK")
    seen = set()

    def told() -> bool:
        message = service.health().get("message", "")
        seen.add(message)
        return f"svc:{line_of(service, '# AGAIN')} another" in message

    eventually(told)
    assert not any("list_all_domains" in message for message in seen), seen


def test_a_blocked_hub_is_told_with_its_place_while_other_threads_run(service: Service) -> None:
    pytest.importorskip("eventlet")
    service.start(
        EVENTLET
        + START
        + BUSY_THREADS
        + """
original = eventlet.patcher.original
def wait():
    eventlet.event.Event().wait()  # WAITS
eventlet.spawn(wait)
for _ in range(3): original("threading").Thread(target=spin, daemon=True).start()
def block():
    original("time").sleep(9)  # HANGS
work(); eventlet.sleep(1); block(); eventlet.sleep(60)
"""
    )
    message = hung(service)["message"]
    assert message.endswith(f"in svc:{line_of(service)} block"), message
    # A green thread that waits is there too.
    verbose = ask(service.socket, "/health?verbose")[1]
    assert f"svc:{line_of(service, '# WAITS')} wait" in verbose, verbose
    eventually(lambda: service.health()["status"] == "OK")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("blocks", ["time.sleep(9)", "ctypes.PyDLL(None).sleep(9)"])
def test_a_blocked_event_loop_is_hung(service: Service, loop: str, blocks: str) -> None:
    pytest.importorskip(loop)
    service.start(
        START
        + BUSY_THREADS
        + f"""
import asyncio, {loop}
async def main():
    work()
    await asyncio.sleep(5)
    assert threading.current_thread() is threading.main_thread()
    print("blocks", flush=True)
    handler()
    await asyncio.sleep(60)
def handler():
    {blocks}  # HANGS
for _ in range(2): threading.Thread(target=spin, daemon=True).start()
{loop}.run(main())
""",
        launch=True,
    )
    # A loop that runs is passing for longer than the ttl.
    assert service.process is not None
    assert service.process.stdout is not None
    assert service.process.stdout.readline() == "blocks\n"
    assert service.health()["status"] == "OK"
    message = hung(service)["message"]
    assert re.search(rf"^not progressing for \d+ s, in svc:{line_of(service)} handler", message), message
    eventually(lambda: service.health()["status"] == "OK")


def test_a_program_is_not_hung_while_no_loop_of_its_main_thread_runs(service: Service) -> None:
    service.start(
        START
        + """
import asyncio
async def main(): work()
asyncio.run(main())
# A loop of another thread says nothing of the process.
async def blocked(): time.sleep(60)
threading.Thread(target=asyncio.run, args=(blocked(),), daemon=True).start()
time.sleep(5)
print(open("done", "w").close())
sys.stdin.read()
""",
        launch=True,
    )
    eventually((service.folder / "done").exists)
    health = service.health()
    assert (health["status"], health["processes"]["hung"]) == ("OK", 0), health


@pytest.mark.parametrize("server", ["uvicorn", "aiohttp"])
def test_a_server_whose_loop_is_blocked_is_hung(service: Service, server: str) -> None:
    pytest.importorskip(server)
    program = {
        "uvicorn": """
import fastapi, uvicorn
app = fastapi.FastAPI()
@app.get("/")
async def index():
    time.sleep(9)  # HANGS
uvicorn.run(app, uds="app.sock", log_level="critical")
""",
        "aiohttp": """
from aiohttp import web
async def index(request):
    time.sleep(9)  # HANGS
app = web.Application()
app.router.add_get("/", index)
web.run_app(app, path="app.sock", print=None)
""",
    }[server]
    if server == "uvicorn":
        pytest.importorskip("fastapi")
    service.start(START + "work()" + program, launch=True)
    eventually((service.folder / "app.sock").exists)
    assert service.health()["status"] == "OK"
    import socket

    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(service.folder / "app.sock"))
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        message = hung(service)["message"]
    assert f"in svc:{line_of(service)} index" in message, message


def test_children_forked_during_a_hang_end_in_good_order_and_tell_their_own_place(service: Service) -> None:
    service.start(
        START
        + """
libc = ctypes.PyDLL(None)
def fork_and_hang():
    # Forked while our thread waits for the lock, and again after the keeper has looked.
    for seconds in (4, 7):
        libc.sleep(seconds)
        child = os.fork()
        if child == 0:
            sys.exit(0)
        print("child", os.waitpid(child, 0)[1], flush=True)
    if os.fork() == 0:
        work()
        in_the_child()
def in_the_child():
    libc.sleep(9)  # HANGS
work(); time.sleep(1); fork_and_hang(); sys.stdin.read()
"""
    )
    assert service.process is not None
    assert service.process.stdout is not None
    lines = (line for line in service.process.stdout if line.startswith("child"))
    assert [next(lines) for _ in range(2)] == ["child 0\n", "child 0\n"]

    def told() -> bool:
        message = service.health().get("message", "")
        return f"in svc:{line_of(service)} in_the_child" in message

    eventually(told)


def test_a_host_that_closes_all_descriptors_finds_none_of_ours_and_is_told_of(service: Service) -> None:
    service.start(
        START
        + """
import json
work(); time.sleep(1)
links = {number: os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")}
# libffi, of which ctypes is made, keeps its own file open in newer versions.
before = [number for number, link in links.items() if "libffi" not in link]
os.closerange(0, 4096)
files = [os.open(f"file{number}", os.O_RDWR | os.O_CREAT) for number in range(40)]
list_all_domains()
time.sleep(3)
os.write(files[-1], json.dumps(before).encode())
time.sleep(60)
"""
    )
    assert "list_all_domains" in hung(service)["message"]
    written = service.folder / "file39"
    before = eventually(lambda: written.exists() and json.loads(written.read_text() or "0"))
    # Three streams, and the one that lists the directory.
    assert len(before) == 4
    assert all((service.folder / f"file{number}").stat().st_size == 0 for number in range(39))


def test_faulthandler_is_the_services_own(service: Service) -> None:
    output = service.run(
        START
        + """
import faulthandler, signal
caught = [line for line in open("/proc/self/status") if line.startswith("SigCgt")]
work()
assert caught == [line for line in open("/proc/self/status") if line.startswith("SigCgt")]
out = open("theirs", "w+")
faulthandler.enable(out)
faulthandler.register(signal.SIGUSR1, out)
faulthandler.dump_traceback_later(5, file=out)
time.sleep(1)
list_all_domains()
faulthandler.cancel_dump_traceback_later()
os.kill(os.getpid(), signal.SIGUSR1)
text = open("theirs").read()
print(text.count("Timeout"), text.count("Current thread"), text.count("list_all_domains"))
while not [path for path in os.listdir("run/svc") if path.endswith(".stacks")]:
    time.sleep(0.05)
"""
    )
    assert without_log(output) == "1 1 1\n"


def test_the_interpreter_ends_while_it_is_looked_at(service: Service) -> None:
    # Right after hangs of every length, from before we ask to after we have looked.
    for seconds in (2, 4, 5, 6):
        output = service.run(
            START + f"work(); time.sleep(0.5)\nctypes.PyDLL(None).sleep({seconds})\nprint('end')"
        )
        assert without_log(output) == "end\n"


def test_a_hang_costs_a_busy_host_nothing_but_the_look(service: Service) -> None:
    output = service.run(
        START
        + """
work(); time.sleep(1)
threads = lambda: len(os.listdir("/proc/self/task"))
before = threads()
list_all_domains()
time.sleep(2)
print(threads() - before, len(threading.enumerate()))
"""
    )
    assert without_log(output) == "0 2\n"


def test_where_the_threads_of_a_server_stand_is_told_when_its_requests_hang(service: Service) -> None:
    (service.folder / "app.py").write_text(
        """
import time
def index(environ, start_response):
    time.sleep(60)  # HANGS
"""
    )
    service.environment["HEALTHBOARD_STALL_AFTER"] = "3"
    service.start(
        START
        + """
import logging
sys.path.insert(0, os.getcwd())
import app
from healthboard.middleware import WSGI
application = WSGI(app.index, capacity=3)
def serve(): application({"PATH_INFO": "/"}, None)
for _ in range(3): threading.Thread(target=serve, daemon=True).start()
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
sys.stdin.read()
""",
        launch=True,
    )

    def told() -> Any:
        return json.loads(ask(service.socket, "/health?verbose")[1]).get("stacks")

    [process] = eventually(lambda: service.answers() and told())
    message = eventually(lambda: service.health().get("message"))
    hang = r"requests: all 3 places taken by 3 operations that hang, the newest for \d s"
    assert re.match(hang + re.escape(", in app.py:4 index (called from svc:"), message), message
    roles = {(thread["role"], thread["count"]) for thread in process["threads"]}
    assert {("main", 1), ("work", 3)} <= roles, roles
    [work] = [thread for thread in process["threads"] if thread["role"] == "work"]
    assert work["frames"][0] == "app.py:4 index"
    assert "main thread:" in ask(service.socket, "/readyz?verbose")[1]
    assert not any("healthboard" in frame for thread in process["threads"] for frame in thread["frames"])
