"""Real processes that fork, end or hang."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from conftest import Service, all_ended_in_order, eventually

START = """
import os, sys, time
import healthboard
from healthboard import healthcheck, record_ok

problems = healthboard.start("svc", {"progress.ttl": "2"})
assert problems == [], problems

@healthcheck("work")
def work(): return 1
"""

EVENTLET = """
import warnings
warnings.simplefilter("ignore")
import eventlet
eventlet.monkey_patch()
"""


def test_a_service_answers_and_progresses(service: Service) -> None:
    service.start(START + "work(); sys.stdin.read()")
    eventually(lambda: service.health()["details"].get("work", {}).get("state") == "passing")
    assert service.health()["processes"]["alive"] == 1
    time.sleep(3)
    assert service.health()["status"] == "OK"


def test_a_child_that_records_at_once_has_a_board_of_its_own_and_progresses(service: Service) -> None:
    service.start(START + "if os.fork() == 0: work()\nsys.stdin.read()")
    health = eventually(lambda: (h := service.health())["processes"]["alive"] == 2 and h)
    time.sleep(3)
    health = service.health()
    assert health["status"] == "OK", health
    assert health["processes"] == {**health["processes"], "alive": 2, "hung": 0}


def test_a_child_that_records_nothing_has_no_thread_and_no_board(service: Service) -> None:
    service.start(
        START
        + "work()\nif os.fork() == 0: print(os.listdir('/proc/self/task')); sys.stdin.read(); os._exit(0)\n"
        "sys.stdin.read()"
    )
    time.sleep(1)
    assert service.health()["processes"]["alive"] == 1
    output = service.end()
    assert output.count(",") == 0, output


def test_many_forks_that_record_at_once_all_end(service: Service) -> None:
    output = service.run(
        START
        + """
import threading
stop = threading.Event()
def busy():
    while not stop.is_set(): work()
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads: thread.start()
for _ in range(100):
    pid = os.fork()
    if pid == 0:
        work()
        healthboard.goodbye()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
stop.set()
print("done")
"""
    )
    assert output == "done\n"


def test_a_sigbus_that_is_sent_ends_the_process_at_once() -> None:
    program = START + "work(); os.kill(os.getpid(), 7); time.sleep(60)"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HEALTHBOARD_URI": "board", "HEALTHBOARD_RUNTIME_DIR": folder}
        ended = subprocess.run([sys.executable, "-c", program], env=environment, check=False, timeout=50)
    assert ended.returncode == -signal.SIGBUS


def test_a_board_of_any_bytes_keeps_nobody_from_answering(service: Service) -> None:
    service.start(START + "work(); sys.stdin.read()")
    eventually(lambda: service.health()["details"]["progress"]["state"] == "passing")
    board = next(service.folder.glob("run/svc/*.board"))
    with board.open("r+b") as file:
        file.write(b"\xff" * board.stat().st_size)
    # It makes another one. The file stays, and is refused.
    eventually(lambda: any(b.read_bytes()[:8] != b"\xff" * 8 for b in service.folder.glob("run/svc/*.board")))
    eventually(lambda: service.health()["details"]["progress"]["state"] == "passing")


# The handler of `faulthandler` is set after ours. In the child ours comes first again.
FOREIGN_FAULT = """
work()
import faulthandler, mmap, tempfile
faulthandler.enable()
pid = os.fork()
if pid == 0:
    work()
    file = tempfile.TemporaryFile()
    file.truncate(4096)
    memory = mmap.mmap(file.fileno(), 4096)
    file.truncate(0)
    memory[0]
print(os.WTERMSIG(os.waitpid(pid, 0)[1]))
"""


def test_a_fault_in_other_memory_ends_a_child_with_one_traceback() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HEALTHBOARD_URI": "board", "HEALTHBOARD_RUNTIME_DIR": folder}
        command = [sys.executable, "-c", START + FOREIGN_FAULT]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=50
        )
    assert ended.stdout == f"{signal.SIGBUS.value}\n"
    assert ended.stderr.count("Bus error") == 1


# When it is forked, threads wait for the interpreter's lock, which `PyDLL` does not release. The child's
# interpreter is told nothing, as by uWSGI.
FORKED_IN_C = """
import ctypes, os, sys, threading, time
from healthboard import _native

def contend():
    until = time.monotonic() + 0.5
    def work():
        while time.monotonic() < until: pass
    threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for thread in threads: thread.start()
    return threads

contend()
time.sleep(0.1)
pid = ctypes.PyDLL(None).fork()
if pid == 0:
    _native.forked_in_c()
    for thread in contend(): thread.join()
    print("ended", [thread.name for thread in threading.enumerate()], flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""


def test_threads_of_a_process_that_was_forked_in_c_do_not_stop_each_other() -> None:
    command = [sys.executable, "-c", FORKED_IN_C]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout == "ended ['MainThread']\n"
    assert ended.stderr == ""


def test_a_double_forked_child_that_closed_every_descriptor_records(service: Service) -> None:
    service.start(
        START
        + """
work()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 1024)
        work()
        time.sleep(30)
    os._exit(0)
os.wait()
sys.stdin.read()
"""
    )
    eventually(lambda: service.health()["processes"]["alive"] == 2)


def test_a_started_program_inherits_no_descriptor(service: Service) -> None:
    service.start(
        START
        + """
import subprocess
work()
time.sleep(0.5)
print(subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, close_fds=False).stdout)
sys.stdin.read()
"""
    )
    output = service.end()
    assert "board" not in output
    assert "socket" not in output
    assert ".lock" not in output


def test_an_orderly_end_says_goodbye(service: Service) -> None:
    service.run(START + "work()")
    assert len(list(service.folder.glob("run/svc/*.board"))) == 1
    assert all_ended_in_order(service.folder)


@pytest.mark.parametrize("end", ["sys.exit(3)", "raise KeyboardInterrupt", "os.kill(os.getpid(), 15)"])
def test_exit_statuses_are_unchanged(service: Service, end: str) -> None:
    service.start(START + f"work()\n{end}")
    service.end()
    assert service.process is not None
    codes = {"sys.exit(3)": 3, "raise KeyboardInterrupt": -signal.SIGINT, "os.kill(os.getpid(), 15)": -15}
    assert service.process.returncode == codes[end]


@pytest.mark.skipif(
    sys.version_info < (3, 11),
    reason="one in a hundred ends of Python 3.10 with busy threads crashes by itself",
)
def test_an_interpreter_that_ends_while_threads_record_ends_cleanly(service: Service) -> None:
    for _ in range(5):
        output = service.run(
            START
            + """
import logging, threading
logging.basicConfig(level=logging.DEBUG)
def busy():
    while True: work()
for _ in range(4): threading.Thread(target=busy, daemon=True).start()
time.sleep(0.05)
"""
        )
        assert "Fatal" not in output


def test_signals_reach_the_main_thread_only(service: Service) -> None:
    output = service.run(
        START
        + """
import signal, threading
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(threading.current_thread() is threading.main_thread()))
for _ in range(20):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)
tasks = [f"/proc/self/task/{task}/status" for task in os.listdir("/proc/self/task")]
masks = [line for task in tasks for line in open(task) if line.startswith("SigBlk")]
print(seen == [True] * 20, any(int(m.split()[1], 16) & 1 << 14 for m in masks))
"""
    )
    assert output == "True True\n"


def test_an_interpreter_whose_lock_is_held_is_hung(service: Service) -> None:
    service.start(
        START + "import ctypes\nwork()\ntime.sleep(1)\nctypes.PyDLL(None).sleep(6)\nsys.stdin.read()"
    )
    health = eventually(lambda: (h := service.health())["status"] == "FAULT" and h, within=8)
    assert health["message"].startswith("not progressing for "), health["message"]
    assert health["processes"]["hung"] == 1
    eventually(lambda: service.health()["status"] == "OK", within=10)


def test_a_blocked_hub_is_hung(service: Service) -> None:
    pytest.importorskip("eventlet")
    service.start(
        EVENTLET
        + START
        + """
work()
eventlet.sleep(2)
eventlet.patcher.original("time").sleep(6)
eventlet.sleep(60)
"""
    )
    assert service.health()["status"] == "OK"
    health = eventually(lambda: (h := service.health())["status"] == "FAULT" and h, within=8)
    assert health["processes"]["hung"] == 1
    eventually(lambda: service.health()["status"] == "OK", within=10)


@pytest.mark.parametrize(
    "patch",
    ["import eventlet; eventlet.monkey_patch()", "from eventlet import patcher; patcher.monkey_patch()"],
)
@pytest.mark.parametrize("first", ["", "import eventlet\n"], ids=["", "imported before"])
def test_a_hub_is_seen_though_health_has_started_before_it(service: Service, patch: str, first: str) -> None:
    pytest.importorskip("eventlet")
    service.start(
        "import warnings, logging; warnings.simplefilter('ignore'); logging.basicConfig()\n"
        + first
        + START
        + f"work(); time.sleep(0.5)\n{patch}\n"
        + """
import eventlet
while not os.path.exists("block"): eventlet.sleep(0.1)
eventlet.patcher.original("time").sleep(6)
while True: eventlet.sleep(0.1)
"""
    )
    eventually(lambda: service.health()["details"]["progress"]["state"] == "passing")
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert service.health()["status"] == "OK"
    (service.folder / "block").touch()
    eventually(lambda: service.health()["status"] == "FAULT", within=8)
    eventually(lambda: service.health()["status"] == "OK", within=10)
    assert service.process is not None
    service.process.kill()
    assert service.end().count("before `eventlet.monkey_patch()`") == 1


def test_a_pool_thread_of_eventlet_may_record_first(service: Service) -> None:
    pytest.importorskip("eventlet")
    service.start(
        EVENTLET
        + START
        + """
from eventlet import tpool
if os.fork() == 0:
    eventlet.hubs.use_hub()
    tpool.killall()
    tpool.execute(work)
    work()
eventlet.sleep(60)
"""
    )
    eventually(lambda: service.health()["processes"]["alive"] == 2)
    time.sleep(3)
    assert service.health()["processes"]["hung"] == 0


def test_an_ending_interpreter_drains(service: Service) -> None:
    service.start(
        """
import atexit, time
class Slow:
    def __del__(self, sleep=time.sleep): sleep(2)
"""
        + START
        + "work(); slow = Slow(); slow.me = None; sys.stdin.read()"
    )
    service.health()
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.close()
    service.process.stdin = None
    eventually(lambda: service.status("/readyz") == 503, within=2)
    assert service.status("/livez") == 200


def test_a_process_that_is_killed_while_it_drains_was_told_to_end(service: Service) -> None:
    program = "import healthboard, sys\nhealthboard.start('svc')\nhealthboard.record_ok('work')\n"
    service.start(program + "healthboard.drain()\nsys.stdin.read()")
    assert service.health()["status"] == "OK"
    eventually(lambda: service.status("/readyz") == 503)
    service.stop()
    service.start(program + "sys.stdin.read()")
    health = service.health()
    assert (health["status"], health["processes"]["dead"]) == ("OK", 0)


def test_importing_it_is_cheap(service: Service) -> None:
    output = service.run(
        """
import sys
before = set(sys.modules)
import healthboard
heavy = {"asyncio", "ctypes", "inspect", "logging", "socket", "subprocess", "threading", "typing"}
print(sorted(heavy & (set(sys.modules) - before)))
"""
    )
    assert output == "[]\n"


def test_a_process_has_one_native_and_one_python_thread_of_ours(service: Service) -> None:
    output = service.run(START + "work(); time.sleep(0.3); print(len(os.listdir('/proc/self/task')))")
    assert output == "3\n"


def test_two_programs_with_one_name_share_an_endpoint_and_a_death_is_reported(service: Service) -> None:
    service.start(START + "work(); sys.stdin.read()")
    service.health()
    other = subprocess.Popen(
        [sys.executable, "-c", START + "work(); time.sleep(30)"], env=service.environment
    )
    try:
        eventually(lambda: service.health()["processes"]["alive"] == 2)
    finally:
        other.kill()
        other.wait()
    health = eventually(lambda: (h := service.health())["processes"]["dead"] == 1 and h)
    assert health["status"] == "DEGRADED"
    assert str(other.pid) in health["message"]


def test_two_programs_with_one_name_and_different_endpoints_are_warned_of(service: Service) -> None:
    service.start("import logging; logging.basicConfig()\n" + START + "work(); sys.stdin.read()")
    service.health()
    program = "import logging; logging.basicConfig()\n" + START + "work(); sys.stdin.read()"
    line = "is not listened on: the process that serves `svc`"
    said = service.folder / "said"
    for uri, count in ((service.environment["HEALTHBOARD_URI"], 0), (f"unix://{service.folder}/other", 1)):
        with said.open("w") as output:
            other = subprocess.Popen(
                [sys.executable, "-c", program],
                env={**service.environment, "HEALTHBOARD_URI": uri},
                stdin=subprocess.PIPE,
                stderr=output,
            )
        eventually(lambda: service.health()["processes"]["alive"] == 2)
        eventually(lambda: said.read_text().count(line) == count)  # noqa: B023 - it waits here
        other.communicate(timeout=30)
        assert other.returncode == 0
        assert said.read_text().count(line) == count


def test_the_answer_says_that_it_speaks_for_one_process(service: Service) -> None:
    # As in the directory of another user: no board of another process can be seen.
    (service.folder / "run").rmdir()
    (service.folder / "run").touch()
    said = "assert 'only this process is served' in problems[0], problems"
    service.start(START.replace("assert problems == [], problems", said) + "work(); sys.stdin.read()")
    answer = eventually(lambda: (h := service.health())["details"].get("work") and h)
    assert answer["processes"]["others_unseen"] is True


def test_time_in_which_all_processes_were_stopped_does_not_make_evidence_stale(service: Service) -> None:
    service.start(START.replace('"progress.ttl": "2"', '"ttl": "5"') + "work(); sys.stdin.read()")
    eventually(lambda: service.health()["details"].get("work", {}).get("state") == "passing")
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)
    time.sleep(6)
    service.process.send_signal(signal.SIGCONT)
    # Evidence gets one more ttl, and is stale afterwards.
    begin = time.monotonic()
    assert service.health()["status"] == "OK"
    eventually(lambda: service.health()["status"] == "DEGRADED")
    assert time.monotonic() - begin > 4


POOL = """
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=2) as pool:
        pool.map(record_ok, ["work"] * 40, chunksize=1)
    for _ in range(3):
        child = multiprocessing.get_context("fork").Process(target=work)
        child.start()
        child.join()
    if os.fork() == 0: work(); os._exit(0)
    os.wait()
    print("done", flush=True)
    sys.stdin.read()
"""


def test_forked_processes_that_end_in_order_are_no_deaths(service: Service) -> None:
    service.start(START + POOL)
    assert service.process is not None
    assert service.process.stdout is not None
    assert service.process.stdout.readline() == "done\n"
    health = service.health()
    assert (health["status"], health["processes"]["dead"]) == ("OK", 0), health


def test_a_second_start_with_other_options_has_no_effect_and_says_so(service: Service) -> None:
    second = f"unix://{service.folder}/second.sock"
    service.environment.pop("HEALTHBOARD_URI")
    output = service.run(
        "import healthboard\n"
        f"print(healthboard.start('first', {{'uri': 'unix://{service.socket}'}}))\n"
        f"print(healthboard.start('second', {{'uri': '{second}'}}))\n"
    )
    assert output.splitlines()[:2] == [
        "[]",
        "['health has started already, as `first`: a start with other options has no effect']",
    ], output


def test_the_name_that_the_operator_gives_counts(service: Service) -> None:
    service.environment["HEALTHBOARD_SERVICE"] = "named"
    service.start(START + "work(); sys.stdin.read()", launch=True)
    assert service.health()["service"] == "named"
