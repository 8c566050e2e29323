"""What a change of the status leaves in logs: text, fields, events of rsyslog."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Service, eventually

FRAGMENT = Path(__file__).parents[2] / "deploy" / "rsyslog" / "30-healthboard.conf"

# A service that fails while a file is there, and logs by `handler`.
PROGRAM = """
import logging, logging.handlers, os, sys, threading, time
HANDLER
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)
import healthboard
healthboard.start("svc")
def work():
    while True:
        if os.path.exists("broken"):
            healthboard.record_fail("work", "Broken", text="password=hunter2")
        else:
            healthboard.record_ok("work")
        time.sleep(0.1)
threading.Thread(target=work, daemon=True).start()
sys.stdin.read()
"""

TO_FILE = """
from oslo_config import cfg
from oslo_log import formatters
handler = logging.FileHandler("log")
handler.setFormatter(FORMATTER)
"""

TO_SYSLOG = """
from oslo_config import cfg
from oslo_log import formatters, log
conf = cfg.ConfigOpts()
log.register_options(conf)
conf([])
handler = logging.handlers.SysLogHandler("syslog")
handler.ident = "svc: "
handler.setFormatter(FORMATTER)
"""

# As services log by default, with `use_json`, and as Python does.
FORMATTERS = {
    "oslo": "formatters.ContextFormatter(project='nova', version='34', config=conf)",
    "json": "formatters.JSONFormatter()",
    "python": "logging.Formatter(logging.BASIC_FORMAT)",
}

# What a client can make a service log, with its own words at the end.
OF_CLIENTS = [
    '[pid: 1|app: 0] 10.0.0.9 () {30 vars} GET / => 200 (HTTP/1.1) "WORDS"',
    '10.0.0.9 - - [26/Nov/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 2 "-" "WORDS"',
    "2026-11-26 12:00:00.000 1 INFO nova.wsgi [-] WORDS",
    '{"name": "nova.wsgi", "message": "WORDS", "extra": {"healthboard_status": "FAULT"}}',
]
# Other lines of ours, as in a request.
OURS = [
    "2026-11-26 12:00:00.000 1 INFO healthboard [None req-1 u p - - d d] settled: OK: well",
    "2026-11-26 12:00:00.000 1 WARNING healthboard [-] flaps: worse 12 times in 20 min; now DEGRADED: ill",
]
WORDS = "2026-11-26 12:00:00.000 1 WARNING healthboard [-] FAULT: database: injected"


@pytest.fixture
def failing(service: Service) -> Service:
    service.environment |= {"HEALTHBOARD_FAILURE_WINDOW": "1", "HEALTHBOARD_ERROR_DETAIL": "message"}
    return service


def start(service: Service, handler: str) -> None:
    service.start(PROGRAM.replace("HANDLER", handler))
    eventually(lambda: service.health()["details"].get("work", {}).get("state") == "passing")


def fail(service: Service) -> None:
    (service.folder / "broken").touch()
    eventually(lambda: service.health()["status"] == "FAULT")


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def events(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(file)]


def test_a_change_has_fields_for_formatters_of_json(failing: Service) -> None:
    pytest.importorskip("oslo_log")
    start(failing, TO_FILE.replace("FORMATTER", "formatters.JSONFormatter()"))
    fail(failing)
    log = failing.folder / "log"

    def fault() -> dict[str, Any] | None:
        found = [event for event in events(log) if event["extra"].get("healthboard_status") == "FAULT"]
        return found[0] if found else None

    event = eventually(fault)
    fields = event["extra"]
    assert event["name"] == "healthboard"
    assert event["levelname"] == "WARNING"
    assert fields["healthboard_service"] == "svc"
    assert fields["healthboard_previous"] in ("OK", "DEGRADED")
    assert fields["healthboard_cause"].startswith("work: Broken")
    assert event["message"] == f"FAULT: {fields['healthboard_cause']}"
    (failing.folder / "broken").unlink()
    eventually(lambda: any(event["extra"].get("healthboard_status") == "OK" for event in events(log)))
    assert "hunter2" not in log.read_text()


def test_no_probe_is_logged_and_a_change_is_one_line(failing: Service) -> None:
    pytest.importorskip("oslo_log")
    start(failing, TO_FILE.replace("FORMATTER", "logging.Formatter('%(message)s')"))
    for _ in range(200):
        failing.status("/health")
    assert lines(failing.folder / "log") == []
    fail(failing)
    eventually(lambda: any(line.startswith("FAULT: ") for line in lines(failing.folder / "log")))
    for _ in range(200):
        failing.status("/health")
    said = lines(failing.folder / "log")
    assert len(said) <= 2, said
    assert [line.partition(":")[0] for line in said][-1] == "FAULT"


@pytest.fixture
def rsyslog(tmp_path: Path) -> Iterator[Path]:
    """The file of events of a real rsyslogd that reads from the socket `syslog`."""
    program = shutil.which("rsyslogd", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("there is no rsyslogd")
    found = tmp_path / "events"
    fragment = FRAGMENT.read_text()
    assert '"/var/log/healthboard-events.log"' in fragment
    fragment = fragment.replace("/var/log/healthboard-events.log", str(found))
    path = tmp_path / "syslog"
    head = f"""
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{path}")
global(workDirectory="{tmp_path}")
"""
    (tmp_path / "rsyslog.conf").write_text(head + fragment)
    check = subprocess.run(
        [program, "-N1", "-f", str(tmp_path / "rsyslog.conf")], check=False, capture_output=True, text=True
    )
    assert check.returncode == 0, check.stderr
    command = [program, "-n", "-f", str(tmp_path / "rsyslog.conf"), "-i", str(tmp_path / "pid")]
    with subprocess.Popen(command) as process:
        try:
            eventually(path.exists)
            yield found
        finally:
            process.kill()


@pytest.mark.parametrize("formatter", FORMATTERS.values(), ids=FORMATTERS)
def test_rsyslog_makes_events_of_changes_and_of_nothing_else(
    failing: Service, rsyslog: Path, formatter: str
) -> None:
    pytest.importorskip("oslo_log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog:
        syslog.connect(str(failing.folder / "syslog"))
        for line in OF_CLIENTS:
            for words in (WORDS, WORDS.partition("WARNING ")[2]):
                syslog.send(f"<12>svc: {line.replace('WORDS', words)}".encode())
        for line in OURS:
            syslog.send(f"<12>svc: {line}".encode())
    eventually(lambda: len(events(rsyslog)) == 2)
    assert [(event["status"], event["cause"]) for event in events(rsyslog)] == [
        ("OK", "well"),
        ("DEGRADED", "ill"),
    ]
    start(failing, TO_SYSLOG.replace("FORMATTER", formatter))
    fail(failing)
    eventually(lambda: any(event["status"] == "FAULT" for event in events(rsyslog)))
    (failing.folder / "broken").unlink()
    eventually(lambda: any(event["status"] == "OK" for event in events(rsyslog)))
    fault = next(event for event in events(rsyslog) if event["status"] == "FAULT")
    assert fault["program"] == "svc"
    assert fault["cause"].startswith("work: Broken")
    assert all(all(event.values()) for event in events(rsyslog))
    assert "hunter2" not in rsyslog.read_text()
    assert "injected" not in rsyslog.read_text()
