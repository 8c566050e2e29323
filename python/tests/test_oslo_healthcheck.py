"""The backend `healthboard` in the real oslo.middleware: `/healthcheck` on the service's own port."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

import pytest

from conftest import Service

pytest.importorskip("oslo_middleware")

# `ask(ACCEPT)` is a request to a real `/healthcheck`, which Paste has made: its status and body.
PROGRAM = """
import json, os, signal, sys, time
import healthboard
import webob
from oslo_middleware.healthcheck import Healthcheck
SETTINGS = {"backends": "disable_by_file,healthboard", "disable_by_file_path": "absent"}
def ask(accept="text/plain", app=[]):
    if not app: app.append(Healthcheck.app_factory({}, **SETTINGS))
    response = webob.Request.blank("/healthcheck", accept=accept).get_response(app[0])
    return response.status_int, response.text
def eventually(wanted):
    end = time.monotonic() + 20
    while not wanted(ask()):
        assert time.monotonic() < end, ask()
        time.sleep(0.02)
    return ask()
def fork(child):
    pid = os.fork()
    if pid == 0:
        try: child()
        finally:
            sys.stdout.flush()
            os._exit(0)
    return pid
def fail(text="refused"):
    healthboard.record_fail("database", "OperationalError", "2003", text)
"""

# Two failures are enough.
OPTIONS = {"HEALTHBOARD_FAILURE_WINDOW": "0"}


def run(service: Service, program: str, *, launch: bool = False, **options: str) -> list[Any]:
    """Run this after `PROGRAM`. Return what it has printed, one JSON value a line."""
    service.environment.update(OPTIONS | options)
    output = service.run(PROGRAM + program, launch=launch)
    return [json.loads(line) for line in output.splitlines() if line.startswith(("[", "{"))]


def show(value: str) -> str:
    """Return a line that prints this value."""
    return f"print(json.dumps({value}), flush=True)\n"


STARTED = "healthboard.start('svc')\n"


def test_both_backends_are_named_while_all_is_well(service: Service) -> None:
    text, body = run(service, STARTED + show("ask()") + show("ask('application/json')"))
    assert text == [200, "OK\nhealthboard: OK"]
    assert json.loads(body[1]) == {"detailed": False, "reasons": ["OK", "healthboard: OK"]}


# How a service makes `/healthcheck`, the name of the file it reads for that, and what is in there.
MADE = {
    "Cinder": ("Healthcheck.app_factory({}, backends='disable_by_file, healthboard')", "svc.conf", ""),
    "Heat": ("Healthcheck.app_factory({})", "svc.conf", "backends = healthboard"),
    "Keystone": (
        "Healthcheck.app_factory({}, oslo_config_project='svc')",
        ".svc/svc.conf",
        "backends = healthboard",
    ),
    "Ironic": ("Healthcheck(application, cfg.CONF)", "svc.conf", "backends = healthboard"),
}


@pytest.mark.parametrize("project", MADE)
def test_each_way_to_make_it_finds_the_backend(service: Service, project: str) -> None:
    make, file, text = MADE[project]
    for name in ("svc.conf", file):
        path = service.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"[healthcheck]\nuri = {service.environment['HEALTHBOARD_URI']}\n")
    with path.open("a") as end:
        end.write(text)
    del service.environment["HEALTHBOARD_URI"]
    service.environment["HOME"] = str(service.folder)
    program = (
        "from oslo_config import cfg\ncfg.CONF(['--config-file', 'svc.conf'], project='other')\n"
        + "def application(environ, start_response): raise AssertionError\n"
        + f"made = {make}\n"
        + show("webob.Request.blank('/healthcheck').get_response(made).text.splitlines()[-1:]")
    )
    assert run(service, program, launch=True) == [["healthboard: OK"]]


def test_what_is_not_known_yet_is_no_fault(service: Service) -> None:
    program = STARTED + "healthboard.Indicator('database')\n" + show("ask()")
    assert run(service, program) == [[200, "OK\nhealthboard: OK"]]


def test_a_fault_is_503_with_the_reason_until_it_is_over(service: Service) -> None:
    program = (
        STARTED
        + "fail(); fail()\n"
        + show("eventually(lambda answer: answer[0] == 503)")
        + "healthboard.record_ok('database')\n"
        + show("eventually(lambda answer: answer[0] == 200)")
    )
    fault, ok = run(service, program)
    assert fault[1].startswith("OK\nhealthboard: FAULT: database: OperationalError 2003, 2 failures in "), (
        fault
    )
    assert ok == [200, "OK\nhealthboard: OK"]


def test_degraded_is_200_unless_an_option_says_otherwise(service: Service) -> None:
    program = STARTED + "fail()\n" + show("eventually(lambda answer: 'DEGRADED' in answer[1])")
    [(status, text)] = run(service, program)
    assert status == 200, text
    assert "\nhealthboard: DEGRADED: database: OperationalError 2003" in text


@pytest.mark.parametrize(("code", "expected"), [("503", 503), ("429", 503), ("203", 200), ("399", 200)])
def test_degraded_is_as_well_as_on_the_endpoint(service: Service, code: str, expected: int) -> None:
    program = STARTED + "fail()\n" + show("eventually(lambda answer: 'DEGRADED' in answer[1])")
    [(status, _)] = run(service, program, HEALTHBOARD_DEGRADED_STATUS_CODE=code)
    assert status == expected


def test_a_fault_of_another_worker_counts(service: Service) -> None:
    program = (
        STARTED
        + "def child():\n    fail(); fail()\n    signal.pause()\n"
        + "pid = fork(child)\n"
        + show("eventually(lambda answer: answer[0] == 503)")
        + "os.kill(pid, signal.SIGKILL)\nos.waitpid(pid, 0)\n"
        + show("[eventually(lambda answer: str(pid) in answer[1])[0], pid]")
    )
    fault, (after, _) = run(service, program)
    assert "FAULT: database: OperationalError 2003" in fault[1]
    # Its death is DEGRADED.
    assert after == 200


def test_every_forked_process_answers_and_keeps_no_file_open(service: Service) -> None:
    program = (
        STARTED
        + "def opened(): return sorted(os.listdir('/proc/self/fd'))\n"
        + "ask(); before = opened(); time.sleep(1.1); ask(); assert opened() == before\n"
        + "def grandchild():\n"
        + "    ask(); assert opened() == before\n"
        + show("ask()").replace("print", "    print")
        + "def child():\n"
        + "    os.closerange(3, 256)\n"
        + "    fail(); fail()\n    eventually(lambda answer: answer[0] == 503)\n"
        + "    os.waitpid(fork(lambda: print(json.dumps(ask()), flush=True)), 0)\n"
        + "    healthboard.record_ok('database')\n    eventually(lambda answer: answer[0] == 200)\n"
        + "os.waitpid(fork(grandchild), 0)\nos.waitpid(fork(child), 0)\n"
        + show("eventually(lambda answer: answer[0] == 200)")
    )
    first, second, last = run(service, program)
    assert first == [200, "OK\nhealthboard: OK"]
    assert second[0] == 503
    assert last[0] == 200


def test_a_hung_worker_is_named(service: Service) -> None:
    program = (
        STARTED
        + "read, write = os.pipe()\n"
        + "def child():\n    healthboard.record_ok('database'); os.write(write, b'x'); signal.pause()\n"
        + "first, second = fork(child), fork(child)\n"
        + "os.read(read, 1); os.read(read, 1)\n"
        + "os.kill(first, signal.SIGSTOP)\n"
        + show("eventually(lambda answer: str(first) in answer[1])")
        + "os.kill(first, signal.SIGKILL); os.kill(second, signal.SIGKILL)\n"
    )
    [(status, text)] = run(service, program, HEALTHBOARD_PROGRESS__TTL="2")
    assert status == 200
    assert "healthboard: DEGRADED: " in text


def test_a_pause_of_the_host_is_no_hang(service: Service) -> None:
    service.environment["HEALTHBOARD_STALL_AFTER"] = "4"
    program = (
        STARTED
        + "operation = healthboard.Indicator('database').begin()\nask(); print('ready', flush=True)\n"
        + "sys.stdin.readline(); time.sleep(1.5)\n"
        + show("ask()")
    )
    process = service.start(PROGRAM + program).process
    assert process is not None
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGSTOP)
    # Shorter ones are load.
    time.sleep(6.5)
    process.stdin.write("\n")
    os.killpg(process.pid, signal.SIGCONT)
    assert json.loads(service.end()) == [200, "OK\nhealthboard: OK"]


@pytest.mark.parametrize(("said", "line"), [("drain", "DRAINING"), ("goodbye", "STOPPED")])
def test_a_service_that_ends_is_not_available(service: Service, said: str, line: str) -> None:
    program = STARTED + f"healthboard.{said}()\n" + show("ask()")
    assert run(service, program) == [[503, f"OK\nhealthboard: {line}"]]


def test_a_service_that_ends_and_has_a_problem_says_both(service: Service) -> None:
    program = STARTED + "fail(); healthboard.drain()\n" + show("ask()")
    [(status, text)] = run(service, program)
    assert status == 503
    assert text.startswith("OK\nhealthboard: DRAINING, DEGRADED: database: "), text


@pytest.mark.parametrize(
    ("program", "launch", "why"),
    [
        ("", False, "health is off: the service was not started with healthboard-run"),
        ("healthboard.start('svc')\n", False, "health is off: `uri` in [healthcheck] names no endpoint"),
        ("", True, "health is off: `uri` in [healthcheck] names no endpoint"),
    ],
)
def test_without_health_the_body_and_one_line_of_the_log_say_so(
    service: Service, program: str, launch: bool, why: str
) -> None:
    del service.environment["HEALTHBOARD_URI"]
    service.environment.update(OPTIONS)
    program += "import logging\nlogging.basicConfig(level=logging.WARNING)\n" + show("[ask(), ask(), ask()]")
    output = service.run(PROGRAM + program, launch=launch)
    answers = json.loads(next(line for line in output.splitlines() if line.startswith("[[")))
    assert answers == 3 * [[200, f"OK\nhealthboard: UNKNOWN, because {why}"]]
    logged = [line for line in output.splitlines() if "at the service's own port" in line]
    assert logged == [
        f"WARNING:healthboard:health checks at the service's own port know nothing, because {why}"
    ]


def test_health_that_starts_with_the_first_request_answers_it(service: Service) -> None:
    [answer] = run(service, show("ask()"), launch=True)
    assert answer == [200, "OK\nhealthboard: OK"]


def test_a_process_that_sees_no_other_says_so(service: Service) -> None:
    nowhere = service.folder / "nowhere"
    nowhere.write_text("a file")
    [(status, text)] = run(service, STARTED + show("ask()"), HEALTHBOARD_RUNTIME_DIR=str(nowhere))
    assert (status, text.partition("\n")[2]) == (
        200,
        "healthboard: OK (of this process alone: the others of the service are not seen)",
    )


def test_without_a_free_descriptor_the_process_speaks_for_itself(service: Service) -> None:
    program = (
        STARTED
        + "fail(); fail(); ask()\n"
        + "import resource\n"
        + "resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir('/proc/self/fd')) - 1, 4096))\n"
        + "time.sleep(1.1)\n"
        + show("ask()")
    )
    [(status, text)] = run(service, program)
    assert status == 503
    assert text.startswith("OK\nhealthboard: FAULT: database: OperationalError 2003"), text
    assert text.endswith("(of this process alone: the others of the service are not seen)"), text


def test_a_backend_that_is_not_installed_is_not_in_the_answer(service: Service) -> None:
    program = STARTED + "SETTINGS['backends'] = 'disable_by_file,no_such_backend'\n" + show("ask()")
    assert run(service, program) == [[200, "OK"]]


def test_many_threads_ask_at_once(service: Service) -> None:
    program = (
        STARTED
        + "import threading\nanswers = set()\nask()\n"
        + "def many():\n    for _ in range(200): answers.add(ask()); fail()\n"
        + "threads = [threading.Thread(target=many) for _ in range(8)]\n"
        + "[t.start() for t in threads]; [t.join() for t in threads]\n"
        + show("[[*{status for status, _ in answers}], eventually(lambda answer: answer[0] == 503)[0]]")
    )
    [(statuses, last)] = run(service, program)
    assert last == 503
    assert set(statuses) <= {200, 503}


def test_a_request_is_answered_under_eventlet(service: Service) -> None:
    pytest.importorskip("eventlet")
    program = (
        "import eventlet\neventlet.monkey_patch()\n"
        + PROGRAM
        + STARTED
        + "pool = eventlet.GreenPool()\nfail(); fail()\neventually(lambda answer: answer[0] == 503)\n"
        + show("sorted({answer[0] for answer in pool.imap(lambda _: ask(), range(20))})")
    )
    assert run(service, program) == [[503]]


SECRETS = [
    "mysql+pymysql://nova:CANARY@db/nova refused",
    "password: CANARY",
    "token=CANARY&x=1",
    "{'X-Auth-Token': 'CANARY'}",
    "http://x/?key=CANARY",
    "nova:CA/NARY#CANARY@db",
    "--password CANARY",
]


@pytest.mark.parametrize("detail", ["none", "class", "message"])
def test_no_secret_is_in_an_answer(service: Service, detail: str) -> None:
    program = (
        "SETTINGS = {'backends': 'healthboard', 'detailed': 'True'}\n"
        + STARTED
        + f"for secret in {SECRETS!r}:\n"
        + "    healthboard.record_fail('database', OSError(5, secret))\n"
        + "    healthboard.record_fail('message_bus', 'OSError', '5', secret)\n"
        + show("[ask(kind) for kind in ('text/plain', 'text/html', 'application/json')]")
    )
    answers = run(service, program, HEALTHBOARD_ERROR_DETAIL=detail)
    for status, text in answers[-1]:
        assert status == 503
        assert "healthboard: FAULT: " in text
        assert ("OSError 5: --password***" in text) == (detail == "message")
        # The stacks of oslo's detailed HTML show this program, but not what it was given.
        assert "CANARY" not in text


def test_a_detailed_answer_has_the_state_of_each_indicator(service: Service) -> None:
    program = (
        "SETTINGS = {'backends': 'healthboard', 'detailed': 'True'}\n"
        + STARTED
        + "healthboard.record_ok('database'); healthboard.Indicator('<b>')\n"
        + show("[ask('application/json'), ask('text/html')]")
    )
    [(json_answer, html)] = run(service, program)
    [reason] = json.loads(json_answer[1])["reasons"]
    assert reason["reason"] == "healthboard: OK"
    assert "database: passing" in reason["details"]
    assert "<b>:" not in html[1]
    assert "database: passing" in html[1]


def test_the_plugin_is_found_by_its_name() -> None:
    from importlib.metadata import entry_points

    [plugin] = entry_points(group="oslo.middleware.healthcheck", name="healthboard")
    assert plugin.load().__name__ == "Healthboard"


def test_a_failure_of_ours_is_no_failure_of_the_service(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from healthboard import _native, verdict

    def broken() -> None:
        raise LookupError("token=CANARY")

    monkeypatch.setattr(_native, "verdict", broken)
    for _ in range(2):
        found = verdict.verdict()
        assert (found.available, found.reason) == (
            True,
            "healthboard: UNKNOWN, because of an internal error",
        )
    assert "CANARY" not in caplog.text
