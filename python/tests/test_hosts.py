"""Difficult hosts: daemons, ending interpreters, sub-interpreters."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from test_processes import START

from conftest import Service, ask, eventually


class Prober:
    """Probes a service as fast as it answers, until the end of the block."""

    def __init__(self, service: Service, target: str) -> None:
        # For each probe, when it began, and the HTTP status or the error.
        self.seen: list[tuple[float, int | OSError]] = []
        self._end = threading.Event()
        self._socket, self._target = service.socket, target

    def _run(self) -> None:
        while not self._end.is_set():
            now = time.monotonic()
            try:
                self.seen.append((now, ask(self._socket, self._target)[0]))
            except (BrokenPipeError, ConnectionResetError):
                # The holder ended before it answered. Another process answers the next probe.
                continue
            except OSError as error:
                self.seen.append((now, error))

    def answers(self) -> list[str]:
        """Return the statuses and errors in order, without repetitions."""
        answers = [str(answer) if isinstance(answer, int) else "none" for _, answer in self.seen]
        return [new for old, new in zip(["", *answers], answers, strict=False) if new != old]

    def assert_answers(self, *answers: str) -> None:
        """Assert that these were the answers until the service no longer answered."""
        assert self.answers() == [*answers, "none"], [
            (began, error) for began, error in self.seen if not isinstance(error, int)
        ][:9]


@contextmanager
def probing(service: Service, target: str) -> Iterator[Prober]:
    prober = Prober(service, target)
    thread = threading.Thread(target=prober._run)
    thread.start()
    try:
        yield prober
    finally:
        prober._end.set()
        thread.join()


SHORT_LIVED_WORKERS = """
import signal
work()
for _ in range(8):
    pids = []
    for _ in range(2):
        if (pid := os.fork()) == 0:
            work()
            time.sleep(60)
        pids.append(pid)
    time.sleep(0.7)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
print("done", flush=True)
sys.stdin.read()
"""


def test_short_lived_workers_leave_no_gap_in_the_answers(service: Service) -> None:
    service.start(START + SHORT_LIVED_WORKERS)
    service.health()
    assert service.process is not None
    assert service.process.stdout is not None
    with probing(service, "/livez") as prober:
        assert service.process.stdout.readline() == "done\n"
    answered = [began for began, answer in prober.seen if answer == 200]
    assert max(after - before for before, after in pairwise(answered)) < 0.5


# Opens a file at every descriptor. Code that still uses a descriptor of its own would write into one of
# these.
FOREIGN = """
def occupy_descriptors():
    os.closerange(0, 4096)
    for _ in range(3): os.open("/dev/null", os.O_RDWR)
    for number in range(3, 64):
        assert os.open(f"foreign.{number}", os.O_RDWR | os.O_CREAT) == number

def fail(): healthboard.record_fail("work", OSError(5, "five"))
"""

DAEMONS = {
    "at_once": "occupy_descriptors()",
    "forked_twice": """
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
work()
occupy_descriptors()
""",
}


@pytest.mark.parametrize("daemon", DAEMONS.values(), ids=DAEMONS)
def test_a_daemon_that_closes_every_descriptor_answers_and_its_files_stay_untouched(
    service: Service, daemon: str
) -> None:
    service.start(
        START
        + FOREIGN
        + "work()\nwhile not os.path.exists('health.sock'): time.sleep(0.01)\n"
        + daemon
        + """
pid = os.open("pid", os.O_CREAT | os.O_WRONLY)
os.write(pid, str(os.getpid()).encode())
os.close(pid)
end = time.monotonic() + 30
while time.monotonic() < end and not os.path.exists("end"):
    work(); fail(); fail()
    time.sleep(0.01)
"""
    )
    file = service.folder / "pid"
    pid = eventually(lambda: file.exists() and file.read_text())
    try:
        # Long enough for several rounds of everything that is done once a second.
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert service.health()["processes"]["alive"] == 1
        assert service.health()["processes"]["serving"] == int(pid)
        foreign = {path.resolve() for path in service.folder.glob("foreign.*")}
        assert len(foreign) == 61
        for path in foreign:
            assert path.read_bytes() == b"", path
            assert Path(f"/proc/{pid}/fd/{path.suffix[1:]}").samefile(path), path
    finally:
        (service.folder / "end").touch()
    eventually(lambda: not service.answers())


ENDING = """
import atexit, threading

class Slow:
    # Defaults, because the ending interpreter has cleared the modules by then.
    def __init__(self, sleep=time.sleep, clock=time.monotonic, write=os.write):
        self.tools = sleep, clock, write
    def __del__(self):
        sleep, clock, write = self.tools
        sleep(0.7)
        write(1, b"end %.3f" % clock())

def busy():
    while True: work()

work()
for _ in range(3): threading.Thread(target=busy, daemon=True).start()
slow = Slow()
slow.me = slow
# The interpreter releases the names in `builtins` among the last.
import builtins
builtins.slow = slow
del slow
@atexit.register
def exit(): time.sleep(0.7)
sys.stdin.readline()
sys.exit(3)
"""


def test_an_ending_interpreter_answers_until_its_end(service: Service) -> None:
    service.start(START + ENDING)
    service.health()
    assert service.process is not None
    with probing(service, "/livez") as prober:
        eventually(lambda: len(prober.seen) > 10)
        begin = time.monotonic()
        output = service.process.communicate("\n", timeout=30)[0]
    assert service.process.returncode == 3, output
    assert "Fatal" not in output
    end = float(output.removeprefix("end "))
    assert end - begin > 1.4
    assert {answer for began, answer in prober.seen if began < end - 0.1} == {200}


SUBINTERPRETER = """
import sys
try: import _interpreters as interpreters
except ImportError: import _xxsubinterpreters as interpreters
number = interpreters.create("legacy") if sys.version_info >= (3, 13) else interpreters.create(isolated=False)
interpreters.run_string(number, '''
try:
    import healthboard
except ImportError as error:
    print("refused:", error, flush=True)
print("the application runs", flush=True)
''')
interpreters.destroy(number)
"""


@pytest.mark.parametrize("launch", [False, True], ids=["by_itself", "healthboard_run"])
@pytest.mark.parametrize("main", ["", START + "work()"], ids=["first", "after_the_main_one"])
def test_a_sub_interpreter_is_refused_with_a_reason_and_its_application_runs(
    service: Service, launch: bool, main: str
) -> None:
    lines = service.run(main + SUBINTERPRETER, launch=launch).splitlines()
    refused = "refused: healthboard works in the main interpreter of a process, and this is a sub-interpreter"
    assert any(line.startswith(refused) for line in lines), lines
    assert lines[-1] == "the application runs"
    # `healthboard-run` prints a message of its own.
    assert sum("healthboard-run: the program runs without health: " in line for line in lines) == launch


def test_free_threaded_python_is_refused_with_a_reason() -> None:
    # The interpreter says so before anything of ours is loaded.
    command = "import sys; sys.abiflags = 't'; import healthboard"
    answer = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=False)
    reason = (
        "ImportError: healthboard needs Python with its interpreter lock, and this is free-threaded Python"
    )
    assert answer.stderr.splitlines()[-1] == reason


def test_no_thread_of_ours_takes_a_signal_of_the_service(service: Service) -> None:
    # The service blocks the signal in all of its threads and waits for it. In any other thread it is the end.
    output = service.run(
        START
        + """
import os, signal, threading, time
healthboard.refresh("work", lambda: None)
healthboard.record_ok("work")
while {"healthboard", "healthboard-refresh"} - {each.name for each in threading.enumerate()}: time.sleep(0.01)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
for _ in range(20): os.kill(os.getpid(), signal.SIGUSR2); print(signal.sigwait({signal.SIGUSR2}).name)
"""
    )
    assert output == "SIGUSR2\n" * 20
