"""Requests that a WSGI application answers, requests to other services, and gunicorn's workers."""

from __future__ import annotations

import time

import pytest
from test_hooks import START, details

from conftest import Service, eventually

# Loads the application, and calls it as a server would.
PASTE = """
sys.path.insert(0, ".")
import app
from paste import deploy
open("paste.ini", "w").write("[app:main]\\npaste.app_factory = app:make\\n")
application = deploy.loadapp("config:" + os.path.abspath("paste.ini"))
def get(path):
    started = []
    body = application({"PATH_INFO": path}, lambda *args: started.append(args))
    return started, body
"""

APP = """
class Body(list): pass
class App:
    marked = "theirs"
    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/raises": raise LookupError
        if path == "/later": return self.later(start_response)
        status = "200 OK" if path == "/" else path[1:4] + " X"
        if path == "/healthcheck": status = "503 X"
        if path == "/500/info": start_response(status, [("a", "b")], ("info",))
        else: start_response(status, [("a", "b")])
        return Body([b"x"])
    def later(self, start_response):
        start_response("503 X", [])
        yield b"x"
def make(config): return App()
"""


@pytest.fixture
def wsgi(service: Service) -> Service:
    pytest.importorskip("paste.deploy")
    (service.folder / "app.py").write_text(APP)
    return service


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("get('/')", {"state": "passing"}),
        ("get('/404')", {"state": "passing"}),
        ("get('/501')", {"state": "passing"}),
        ("get('/500')", {"state": "transient", "error": "ServerError 500"}),
        ("get('/'); get('/503')", {"state": "transient", "error": "ServerError 503"}),
        ("get('/503'); get('/')", {"state": "passing", "failures": 0}),
        ("get('/'); get('/healthcheck')", {"state": "passing", "failures": 0}),
        ("list(get('/later')[1])", {"state": "transient", "error": "ServerError 503"}),
        ("try: get('/raises')\nexcept LookupError: pass", {"state": "transient", "error": "LookupError"}),
    ],
)
def test_the_responses_of_an_application_are_evidence(
    wsgi: Service, asked: str, expected: dict[str, object]
) -> None:
    wsgi.start(START + PASTE + asked + "\nsys.stdin.read()")
    details(wsgi, "requests", impact="degrading", ttl=0, in_flight=0, **expected)


def test_only_a_request_clears_the_failure_of_a_request(wsgi: Service) -> None:
    wsgi.environment["HEALTHBOARD_REFRESH_INTERVAL"] = "0.2"
    wsgi.start(START + PASTE + "get('/500'); sys.stdin.readline(); get('/'); sys.stdin.read()")
    details(wsgi, "requests", state="transient", failures=1)
    # Seven times the refresh interval.
    time.sleep(1.5)
    details(wsgi, "requests", state="transient", failures=1)
    assert wsgi.process is not None
    assert wsgi.process.stdin is not None
    wsgi.process.stdin.write("\n")
    wsgi.process.stdin.flush()
    details(wsgi, "requests", state="passing", failures=0)


def test_a_response_is_passed_on_unchanged(wsgi: Service) -> None:
    output = wsgi.run(
        START
        + PASTE
        + """
started, body = get("/500/info")
assert started == [("500 X", [("a", "b")], ("info",))] and type(body) is app.Body and body == [b"x"]
started, body = get("/later")
assert started == [] and next(body) == b"x" and started == [("503 X", [])]
body.close()
assert application.marked == "theirs"
try: application.missing
except AttributeError: pass
else: raise AssertionError
"""
    )
    assert "Traceback" not in output


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
    eventually(lambda: service.answers() and service.health()["processes"]["alive"] == processes)
    assert service.process is not None
    service.process.terminate()
    assert service.end() == ""
    assert service.process.returncode == 0
