"""What requests to WSGI and ASGI applications record, whatever serves them."""

from __future__ import annotations

from typing import Any

import pytest
from test_hooks import START, details

from conftest import Service
from healthboard import middleware

# Calls an application as a server would.
WSGI = (
    START
    + """
from healthboard.middleware import WSGI
class Body(list): pass
class App:
    marked = "theirs"
    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/raises": raise LookupError
        if path.startswith("/generator"): return self.generate(path, start_response)
        if path == "/reads": environ["wsgi.input"].read()
        if path == "/reads/500":
            try: environ["wsgi.input"].readline()
            except OSError: pass
        if path == "/writes": start_response("200 OK", [])(b"x")
        status = "200 OK" if path in ("/", "/healthcheck") else path.rpartition("/")[2] + " X"
        if path == "/info/500": start_response(status, [("a", "b")], ("info",))
        else: start_response(status, [("a", "b")])
        return Body([b"x"])
    def generate(self, path, start_response):
        if path == "/generator/raises": raise LookupError
        start_response("503 X" if path == "/generator/503" else "200 OK", [])
        yield b"x"
        if path == "/generator/raises/late": raise LookupError
        yield b"y"
class Gone:
    def read(self, *size): raise OSError("error during read(5) on wsgi.input")
    readline = read
    length = 5
def write(data): raise BrokenPipeError(32, "Broken pipe")
application = WSGI(App())
def get(path, application=application, **environ):
    started = []
    def start_response(*args):
        started.append(args)
        return write
    return started, application({"PATH_INFO": path, **environ}, start_response)
def post(path): return get(path, CONTENT_LENGTH="5", **{"wsgi.input": Gone()})
def suppressed(call, *args):
    try: return call(*args)
    except (OSError, LookupError): pass
"""
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("get('/')", {"state": "passing"}),
        ("get('/404')", {"state": "unknown"}),
        ("get('/500'); get('/401'); get('/404')", {"state": "transient", "failures": 1}),
        ("get('/'); get('/501')", {"state": "passing"}),
        ("get('/500')", {"state": "transient", "error": "ServerError 500"}),
        ("get('/'); get('/503')", {"state": "transient", "error": "ServerError 503"}),
        ("get('/503'); get('/')", {"state": "passing", "failures": 0}),
        ("get('/503'); get('/healthcheck'); get('/x/healthz')", {"state": "transient", "failures": 1}),
        ("suppressed(get, '/raises')", {"state": "transient", "error": "LookupError"}),
        ("list(get('/generator')[1])", {"state": "passing"}),
        ("list(get('/generator/503')[1])", {"state": "transient", "failures": 1, "error": "ServerError 503"}),
        ("suppressed(list, get('/generator/raises')[1])", {"state": "transient", "error": "LookupError"}),
        (
            "suppressed(list, get('/generator/raises/late')[1])",
            {"state": "transient", "error": "LookupError"},
        ),
        ("get('/', WSGI(application)); get('/500', WSGI(application))", {"failures": 1}),
    ],
)
def test_the_responses_of_an_application_are_evidence(
    service: Service, asked: str, expected: dict[str, object]
) -> None:
    service.start(WSGI + asked + "\nsys.stdin.read()")
    details(service, "requests", impact="degrading", ttl=0, in_flight=0, **expected)


@pytest.mark.parametrize(
    "asked",
    [
        "suppressed(post, '/reads')",
        "post('/reads/500')",
        "suppressed(get, '/writes')",
        "body = get('/generator')[1]; body.close()",
        "body = get('/generator')[1]; next(body); body.close()",
    ],
)
def test_a_client_that_goes_away_is_no_failure(service: Service, asked: str) -> None:
    service.start(WSGI + asked + "\nhealthboard.record_ok('after'); sys.stdin.read()")
    details(service, "after", state="passing")
    found = service.health()["details"]["requests"]
    assert found["state"] in ("unknown", "passing"), found
    assert found["in_flight"] == 0


def test_a_response_is_passed_on_unchanged(service: Service) -> None:
    output = service.run(
        WSGI
        + """
started, body = get("/info/500")
assert started == [("500 X", [("a", "b")], ("info",))] and type(body) is Body and body == [b"x"]
started, body = get("/generator/503")
assert started == [] and next(body) == b"x" and started == [("503 X", [])]
body.close()
assert application.marked == "theirs"
try: application.missing
except AttributeError: pass
else: raise AssertionError
for wrong in (None, "application"):
    try: WSGI(wrong)
    except TypeError as error: assert "expected a WSGI application" in str(error)
    else: raise AssertionError
"""
    )
    assert "Traceback" not in output


def test_a_generator_that_has_not_said_its_status_is_in_flight(service: Service) -> None:
    service.start(WSGI + "body = get('/generator')[1]; sys.stdin.readline(); next(body); sys.stdin.read()")
    details(service, "requests", state="unknown", in_flight=1)
    assert service.process is not None
    assert service.process.stdin is not None
    service.process.stdin.write("\n")
    service.process.stdin.flush()
    details(service, "requests", state="passing", in_flight=0)


ASGI = (
    START
    + """
import asyncio
from healthboard.middleware import ASGI
async def app(scope, receive, send):
    path = scope["path"]
    if path == "/raises": raise LookupError
    if path == "/uploads":
        while (await receive()).get("more_body"): pass
    if path == "/gone/raises" and (await receive())["type"] == "http.disconnect": raise LookupError
    if path == "/cancelled": raise asyncio.CancelledError
    if path == "/nothing": return
    status = int(path.rpartition("/")[2]) if path[-1:].isdigit() else 200
    if scope["type"] == "websocket": return
    await send({"type": "http.response.start", "status": status, "headers": []})
    if path == "/raises/late": raise LookupError
    if path == "/500/raises/500": raise LookupError
    if path == "/streams": await asyncio.sleep(60)
    await send({"type": "http.response.body", "body": b"x"})
async def gone(): return {"type": "http.disconnect"}
async def slow():
    await asyncio.sleep(60)
async def keep(message): pass
async def broken(message): raise BrokenPipeError(32, "Broken pipe")
application = ASGI(app)
async def get(path, receive=gone, send=keep, application=application, type="http"):
    try: await application({"type": type, "path": path}, receive, send)
    except (LookupError, OSError, asyncio.CancelledError): pass
async def main(): await asyncio.gather(*{asked})
asyncio.run(main())
sys.stdin.read()
"""
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("get('/')", {"state": "passing"}),
        ("get('/404')", {"state": "unknown"}),
        ("get('/500')", {"state": "transient", "error": "ServerError 500"}),
        ("get('/raises')", {"state": "transient", "error": "LookupError"}),
        ("get('/raises/late')", {"state": "transient", "error": "LookupError"}),
        ("get('/500/raises/500')", {"state": "transient", "failures": 1, "error": "ServerError 500"}),
        ("get('/nothing')", {"state": "transient", "error": "NoResponse"}),
        ("get('/500', application=ASGI(application))", {"state": "transient", "failures": 1}),
        ("get('/500'), get('/healthz'), get('/', type='websocket')", {"state": "transient", "failures": 1}),
        ("get('/500'), get('/cancelled')", {"state": "transient", "failures": 1, "in_flight": 0}),
        ("get('/'), get('/gone/raises')", {"state": "passing", "in_flight": 0}),
        ("get('/'), get('/500', send=broken)", {"state": "transient", "failures": 1}),
        ("get('/streams'),", {"state": "passing", "in_flight": 0}),
        ("get('/500'), get('/uploads', receive=slow)", {"state": "transient", "in_flight": 0}),
    ],
)
def test_the_responses_of_an_asgi_application_are_evidence(
    service: Service, asked: str, expected: dict[str, object]
) -> None:
    service.start(ASGI.replace("{asked}", f"({asked},)".replace(",,", ",")))
    details(service, "requests", impact="degrading", ttl=0, **expected)


@pytest.mark.parametrize(("wrap", "kind"), [(middleware.WSGI, "WSGI"), (middleware.ASGI, "ASGI")])
def test_an_application_that_is_not_callable_is_refused(wrap: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"expected an? {kind} application, found 5"):
        wrap(5)
