"""The verdict at a path of an application without oslo.middleware: in Flask, Django, Pecan and FastAPI."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import Service
from healthboard import middleware

PROGRAM = """
import json, sys, time
import healthboard
from healthboard.verdict import verdict
from healthboard.middleware import ASGI, ASGIHealthcheck, WSGI, WSGIHealthcheck
def show(value): print(json.dumps(value), flush=True)
def get(application, path="/healthcheck", method="GET"):
    import io
    started = []
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "SERVER_NAME": "localhost", "SERVER_PORT": "80",
               "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
               "SERVER_PROTOCOL": "HTTP/1.0", "SCRIPT_NAME": "", "QUERY_STRING": ""}
    body = b"".join(application(environ, lambda *args: started.append(args)))
    return started[0][0], dict(started[0][1]), body.decode()
def asgi_get(application, path="/healthcheck", method="GET", root_path=""):
    import asyncio
    sent = []
    async def receive(): return {"type": "http.request", "body": b""}
    async def send(message): sent.append(message)
    scope = {"type": "http", "path": path, "raw_path": path.encode(), "method": method, "headers": [],
             "query_string": b"", "http_version": "1.1", "asgi": {"version": "3.0"}, "root_path": root_path}
    asyncio.run(application(scope, receive, send))
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], headers, b"".join(part.get("body", b"") for part in sent[1:]).decode()
def fail():
    for _ in range(2): healthboard.record_fail("database", "OperationalError", "2003")
    until("FAULT")
def until(status):
    while status not in verdict().reason: time.sleep(0.01)
def simple(environ, start_response):
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode()]
healthboard.start("svc")
"""


def run(service: Service, program: str) -> list[Any]:
    service.environment["HEALTHBOARD_FAILURE_WINDOW"] = "0"
    output = service.run(PROGRAM + program)
    return [json.loads(line) for line in output.splitlines() if line.startswith(("[", "{"))]


FLASK = """
import flask
app = flask.Flask("shop")
@app.route("/")
def index(): return "index"
app.wsgi_app = WSGIHealthcheck(app.wsgi_app)
application = app
"""

DJANGO = """
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
urlpatterns = [path("", lambda request: HttpResponse("index"))]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["localhost"])
application = WSGIHealthcheck(get_wsgi_application())
"""

PECAN = """
import pecan
class Root:
    @pecan.expose()
    def index(self): return "index"
application = WSGIHealthcheck(pecan.make_app(Root()))
"""

FASTAPI = """
import fastapi
from fastapi.responses import PlainTextResponse
application = fastapi.FastAPI()
@application.get("/", response_class=PlainTextResponse)
async def index(): return "index"
application.add_middleware(ASGIHealthcheck)
get = asgi_get
"""


@pytest.mark.parametrize(
    ("framework", "program"),
    [("flask", FLASK), ("django", DJANGO), ("pecan", PECAN), ("fastapi", FASTAPI)],
)
def test_a_path_of_the_application_answers_with_the_verdict(
    service: Service, framework: str, program: str
) -> None:
    pytest.importorskip(framework)
    program += "show(get(application)); show(get(application, '/')); fail(); show(get(application))\n"
    ok, index, fault = run(service, program)
    assert (str(ok[0])[:3], ok[2]) == ("200", "healthboard: OK\n")
    assert (str(index[0])[:3], index[2]) == ("200", "index")
    assert str(fault[0])[:3] == "503"
    assert fault[2].startswith("healthboard: FAULT: database: OperationalError 2003, 2 failures in ")


@pytest.mark.parametrize("kind", ["get(WSGIHealthcheck(simple)", "asgi_get(ASGIHealthcheck(simple)"])
def test_every_method_is_answered_and_a_head_has_no_body(service: Service, kind: str) -> None:
    program = f"for method in ('GET', 'POST', 'OPTIONS', 'HEAD'): show({kind}, method=method))\n"
    *others, head = run(service, program)
    for answer in others:
        assert answer == others[0]
    status, headers, body = others[0]
    assert body == "healthboard: OK\n"
    assert head == [status, headers, ""]
    sent = {name.lower(): value for name, value in headers.items()}
    assert sent["content-length"] == str(len(body))
    assert sent["content-type"] == "text/plain; charset=UTF-8"
    assert sent["cache-control"] == "no-store"


MOUNTED = """
outer = fastapi.FastAPI()
outer.mount("/v1", application)
for path in ("/v1/healthcheck", "/healthcheck", "/v1/v1/healthcheck"): show(get(outer, path))
"""


def test_an_application_that_is_mounted_answers_below_its_place(service: Service) -> None:
    pytest.importorskip("fastapi")
    mounted, *others = run(service, FASTAPI + MOUNTED)
    assert (mounted[0], mounted[2]) == (200, "healthboard: OK\n")
    assert [other[0] for other in others] == [404, 404]


def test_a_server_that_is_told_the_place_of_the_application_may_add_it_to_the_path(service: Service) -> None:
    pytest.importorskip("fastapi")
    asked = [("/api/healthcheck", "/api"), ("/api/healthcheck", "/api/"), ("/healthcheck", "/api")]
    asked += [("/apis/healthcheck", "/api"), ("/api/x/healthcheck", "/api")]
    program = f"for path, place in {asked}: show(get(application, path, root_path=place))\n"
    assert [answer[0] for answer in run(service, FASTAPI + program)] == [200, 200, 200, 404, 404]


def test_other_paths_are_the_applications(service: Service) -> None:
    program = "for path in ('/healthcheck/', '/healthchecks', '/x/healthcheck', '', '/'):\n"
    program += "    show(get(WSGIHealthcheck(simple), path))\n"
    assert [answer[2] for answer in run(service, program)] == [
        "/healthcheck/",
        "/healthchecks",
        "/x/healthcheck",
        "",
        "/",
    ]


OF_WSGI = "application = WSGI(WSGIHealthcheck(simple, '/status'))\nget(application, '/')\n"
OF_ASGI = """
application = ASGI(ASGIHealthcheck(simple, "/status"))
def get(application, path): return asgi_get(application, f"/api{path}", root_path="/api")
healthboard.record_ok("requests")
"""


@pytest.mark.parametrize("program", [OF_WSGI, OF_ASGI], ids=["wsgi", "asgi"])
def test_an_answer_at_a_path_of_its_own_is_no_evidence_for_requests(service: Service, program: str) -> None:
    program += (
        "fail(); show(get(application, '/status'))\n"
        "healthboard.record_ok('database'); until('OK'); show(get(application, '/status'))\n"
    )
    fault, ok = run(service, program)
    assert str(fault[0])[:3] == "503"
    # A 503 that had been recorded would be DEGRADED now.
    assert ok[2] == "healthboard: OK\n"


def test_attributes_are_the_applications_own() -> None:
    class Application:
        theirs = "theirs"

        def __call__(self) -> None: ...

    for wrap in (middleware.WSGIHealthcheck, middleware.ASGIHealthcheck):
        assert wrap(Application()).theirs == "theirs"


@pytest.mark.parametrize("wrap", [middleware.WSGIHealthcheck, middleware.ASGIHealthcheck])
def test_what_cannot_work_is_said_at_once(wrap: Any) -> None:
    with pytest.raises(TypeError, match="expected an application, found None"):
        wrap(None)
    with pytest.raises(ValueError, match="expected a path such as `/healthcheck`, found `status`"):
        wrap(print, "status")
