"""No secret in an exception's text leaves the service, by any way out."""

from __future__ import annotations

import socket

import pytest
from systemd import Systemd
from test_oslo_healthcheck import SECRETS

from conftest import Service, ask, eventually

PROGRAM = f"""
import logging, sys
logging.basicConfig(filename="log", level=logging.DEBUG)
import healthboard
healthboard.start("svc")
for _ in range(2):
    for number, secret in enumerate({SECRETS!r}):
        healthboard.record_fail(f"work{{number}}", OSError(5, secret))
sys.stdin.read()
"""

TARGETS = ["/", "/health", "/health?verbose", "/livez?verbose", "/readyz?verbose", "/healthcheck"]


def agent_check(service: Service) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(service.socket))
        connection.sendall(b"agent-check\n")
        return connection.makefile().read()


@pytest.mark.parametrize("detail", ["class", "message"])
def test_no_secret_leaves_the_service(service: Service, systemd: Systemd, detail: str) -> None:
    service.environment |= {
        "HEALTHBOARD_ERROR_DETAIL": detail,
        "HEALTHBOARD_FAILURE_WINDOW": "0",
        "HEALTHBOARD_DETAILED": "true",
    }
    systemd.of(service).start(PROGRAM)
    eventually(lambda: service.health()["status"] == "FAULT")
    outputs = {target: ask(service.socket, target)[1] for target in TARGETS}
    outputs["agent-check"] = agent_check(service)
    outputs["systemd"] = systemd.line("STATUS=FAULT: ")
    outputs["log"] = eventually(lambda: (service.folder / "log").read_text())
    for way, text in outputs.items():
        # Each way tells the failure, and shows how it treats its text.
        assert "OSError 5" in text or way == "/livez?verbose", (way, text)
        assert ("***" in text) == (detail == "message" and way != "/livez?verbose"), (way, text)
        assert "CANARY" not in text, way
    # What an issue asks for: the whole directory.
    eventually((service.folder / "run/svc/history.json").exists)
    files = [path for path in service.folder.glob("run/svc/*") if path.is_file()]
    assert {path.suffix for path in files} >= {".board", ".json"}
    assert not any(b"CANARY" in path.read_bytes() for path in files)
