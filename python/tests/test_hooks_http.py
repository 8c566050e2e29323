"""Requests to other services, and gunicorn's workers."""

from __future__ import annotations

import pytest
from test_hooks import START, details

from conftest import Service, eventually

SESSION = """
import http.server, threading
from keystoneauth1 import exceptions, session, token_endpoint
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(int(self.path[1:]))
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
here, nowhere = f"http://127.0.0.1:{server.server_port}", "http://127.0.0.1:1"
def get(url, service_type=None, **more):
    filter = {"endpoint_filter": {"service_type": service_type}} if service_type else {}
    try: session.Session().get(url, authenticated=False, **filter, **more)
    except exceptions.ClientException as error: print(type(error).__name__, flush=True)
"""


@pytest.mark.parametrize(
    ("asked", "name", "expected"),
    [
        ("get(here + '/200', 'placement')", "placement", {"state": "passing"}),
        ("get(here + '/404', 'network')", "network", {"state": "passing"}),
        ("get(here + '/503', 'image')", "image", {"state": "transient", "error": "ServiceUnavailable"}),
        (
            "get(here + '/500', 'volumev3', raise_exc=False)",
            "volume",
            {"state": "transient", "error": "HttpServerError 500"},
        ),
        ("get(nowhere, 'placement')", "placement", {"state": "transient", "error": "ConnectFailure"}),
        ("get(nowhere + '/v3/auth/tokens')", "identity", {"state": "transient"}),
    ],
)
def test_requests_to_other_services_are_evidence_for_them(
    service: Service, asked: str, name: str, expected: dict[str, object]
) -> None:
    pytest.importorskip("keystoneauth1")
    service.start(START + SESSION + asked + "\nsys.stdin.read()")
    details(service, name, impact="informational", in_flight=0, **expected)
    assert service.health()["status"] == "OK"


def test_a_missing_token_is_no_failure_of_the_requested_service(service: Service) -> None:
    pytest.importorskip("keystoneauth1")
    service.start(
        START
        + SESSION
        + """
from keystoneauth1.identity import v3
auth = v3.Password(nowhere + "/v3", username="u", password="CANARY", user_domain_id="d")
try: session.Session(auth).get("/x", endpoint_filter={"service_type": "network"})
except exceptions.ConnectFailure: print("failed", flush=True)
sys.stdin.read()
"""
    )
    details(service, "identity", state="transient", error="ConnectFailure")
    assert service.health()["details"]["network"]["state"] == "unknown"
    assert "CANARY" not in service.end()


CLIENTS = """
import asyncio
try:
    import requests
    def with_requests(path): requests.get(path, timeout=1)
    import httpx
    def with_httpx(path): httpx.get(path, timeout=1)
    def with_async_httpx(path):
        async def get():
            async with httpx.AsyncClient(timeout=1) as client: await client.get(path)
        asyncio.run(get())
except ImportError: pass
def twice(path):
    for _ in range(2):
        try: CLIENT(path)
        except OSError as error: print(type(error).__name__, flush=True)
        except httpx.HTTPError as error: print(type(error).__name__, flush=True)
"""

CLIENT_NAMES = ["requests", "httpx", "async_httpx"]


@pytest.mark.parametrize("client", CLIENT_NAMES)
@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("here + '/200'", {"state": "passing"}),
        ("here + '/404'", {"state": "passing"}),
        ("here + '/503'", {"state": "transient", "error": "HttpServerError 503"}),
        ("here + '/429'", {"state": "unknown"}),
        ("nowhere", {"state": "transient"}),
    ],
)
def test_requests_to_a_host_that_is_asked_again_are_evidence_for_it(
    service: Service, client: str, asked: str, expected: dict[str, object]
) -> None:
    pytest.importorskip("keystoneauth1")
    pytest.importorskip("httpx")
    program = CLIENTS.replace("CLIENT(", f"with_{client}(")
    service.start(START + SESSION + program + f"twice({asked})\nsys.stdin.read()")
    details(service, "http_127.0.0.1", impact="informational", in_flight=0, **expected)
    assert service.health()["status"] == "OK"


@pytest.mark.parametrize("client", CLIENT_NAMES)
def test_a_host_that_is_asked_once_and_one_too_many_have_no_indicator(service: Service, client: str) -> None:
    pytest.importorskip("keystoneauth1")
    pytest.importorskip("httpx")
    asked = """
for each in range(20): CLIENT(here.replace("127.0.0.1", f"127.0.1.{each}") + "/200")
for each in range(20): twice(here.replace("127.0.0.1", f"127.0.2.{each}") + "/200")
print("done", flush=True)
sys.stdin.read()
"""
    server = SESSION.replace('("127.0.0.1", 0)', '("", 0)')
    program = (CLIENTS + asked).replace("CLIENT(", f"with_{client}(")
    service.start(START + server + program)
    expected = {f"http_127.0.2.{each}" for each in range(6)}
    eventually(lambda: {name for name in service.health()["details"] if "http_" in name} == expected)
    assert service.process is not None
    assert service.process.stdout is not None
    assert service.process.stdout.readline() == "done\n"


def test_a_request_of_keystoneauth1_is_recorded_once(service: Service) -> None:
    pytest.importorskip("keystoneauth1")
    service.start(START + SESSION + "for _ in range(3): get(here + '/200', 'placement')\nsys.stdin.read()")
    details(service, "placement", state="passing")
    assert not [name for name in service.health()["details"] if name.startswith("http_")]


GUNICORN = """
import healthboard
healthboard.start("svc")
def application(environ, start_response): ...
"""


@pytest.mark.parametrize(
    ("preload", "processes"), [([], 2), (["--preload"], 3)], ids=["each worker", "the master"]
)
@pytest.mark.parametrize("kind", ["sync", "gthread"])
def test_gunicorn_workers_attach_before_their_first_request(
    service: Service, kind: str, preload: list[str], processes: int
) -> None:
    pytest.importorskip("gunicorn")
    (service.folder / "wsgi.py").write_text(GUNICORN)
    options = ["wsgi", "--workers=2", f"--worker-class={kind}", "--bind=unix:app.sock", "--log-level=error"]
    program = "import sys\nfrom gunicorn.app.wsgiapp import run\n"
    service.start(program + f"sys.argv[1:] = {[*options, *preload]}\nrun()\n", launch=True)
    # The master starts health itself after two seconds.
    eventually(lambda: service.answers() and service.health()["processes"]["alive"] in (processes, 3))
    assert service.process is not None
    service.process.terminate()
    assert service.end() == ""
    assert service.process.returncode == 0
