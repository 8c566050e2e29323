"""Requests to real applications in real servers."""

from __future__ import annotations

import re
import socket
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_servers import Server, server

from conftest import ask, eventually

__all__ = ["server"]

# A WSGI application of no framework. `/slow` waits until there is a file.
WSGI = """
import os, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/slow":
        while not os.path.exists("go on"): time.sleep(0.05)
    if path == "/upload":
        while environ["wsgi.input"].read(1): pass
    if path == "/download":
        start_response("200 OK", [])
        return (b"x" * 65536 for _ in range(1000))
    if path == "/raises": raise LookupError
    status = path[1:] + " X" if path[1:].isdigit() else "200 OK"
    start_response(status, [("Content-Length", "1")])
    return [b"x"]
"""

ASGI = """
import asyncio
async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        return await send({"type": "lifespan.shutdown.complete"})
    path = scope["path"]
    if path == "/waits":
        while (await receive())["type"] != "http.disconnect": pass
        raise LookupError
    if path == "/download":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        return await send({"type": "http.response.body", "body": b""})
    if path == "/raises": raise LookupError
    status = int(path[1:]) if path[1:].isdigit() else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"x"})
"""

FLASK = """
import flask
application = flask.Flask(__name__)
@application.route("/")
def ok(): return "x"
@application.route("/raises")
def raises(): raise LookupError
"""

DJANGO = """
import django.conf, django.core.wsgi, django.http, django.urls
def ok(request): return django.http.HttpResponse("x")
def raises(request): raise LookupError
urlpatterns = [django.urls.path("", ok), django.urls.path("raises", raises)]
django.conf.settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
application = django.core.wsgi.get_wsgi_application()
"""

PECAN = """
import pecan
class Root:
    @pecan.expose()
    def index(self): return "x"
    @pecan.expose()
    def raises(self): raise LookupError
application = pecan.make_app(Root())
"""

PASTE = """
import os
from paste import deploy
class App:
    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/raises": raise LookupError
        start_response("200 OK", [])
        return [b"x"]
def make(config): return App()
open("paste.ini", "w").write("[app:main]\\npaste.app_factory = app:make\\n")
if __name__ != "__main__" and not os.environ.get("NO_APPLICATION"):
    application = deploy.loadapp("config:" + os.path.abspath("paste.ini"))
"""

FASTAPI = """
import fastapi
application = fastapi.FastAPI()
@application.get("/")
def ok(): return "x"
@application.get("/raises")
async def raises(): raise LookupError
"""

PROGRAMS = {
    "wsgiref": """
import sys, app
from wsgiref.simple_server import make_server
make_server("127.0.0.1", int(sys.argv[1]), app.application).serve_forever()
""",
    "werkzeug": """
import sys, app
from werkzeug.serving import run_simple
run_simple("127.0.0.1", int(sys.argv[1]), app.application, threaded=True)
""",
    "cheroot": """
import sys, app
from cheroot.wsgi import Server
Server(("127.0.0.1", int(sys.argv[1])), app.application).start()
""",
    "waitress": """
import sys, app, waitress
waitress.serve(app.application, host="127.0.0.1", port=int(sys.argv[1]), threads=2)
""",
    "eventlet": """
import warnings; warnings.simplefilter("ignore")
import eventlet; eventlet.monkey_patch()
import sys, app, eventlet.wsgi
eventlet.wsgi.server(eventlet.listen(("127.0.0.1", int(sys.argv[1]))), app.application)
""",
    "gevent": """
from gevent import monkey; monkey.patch_all()
import sys, app
from gevent.pywsgi import WSGIServer
WSGIServer(("127.0.0.1", int(sys.argv[1])), app.application).serve_forever()
""",
    "tornado": """
import sys, app, asyncio
import tornado.wsgi, tornado.httpserver
async def main():
    tornado.httpserver.HTTPServer(tornado.wsgi.WSGIContainer(app.application)).listen(int(sys.argv[1]))
    await asyncio.Event().wait()
asyncio.run(main())
""",
}


def own(name: str) -> Callable[[Server, str], Server]:
    """Serve by a program of the library's user."""

    def serve(server: Server, application: str) -> Server:
        pytest.importorskip(name)
        (server.folder / "serve.py").write_text(PROGRAMS[name])
        return server.serve(application, sys.executable, "serve.py", str(server.web))

    return serve


def module(name: str, *options: str) -> Callable[[Server, str], Server]:
    """Serve by `python -m name`."""

    def serve(server: Server, application: str) -> Server:
        pytest.importorskip(name)
        filled = [option.format(port=server.web) for option in options]
        return server.serve(application, sys.executable, "-m", name, *filled)

    return serve


def uwsgi(*options: str) -> Callable[[Server, str], Server]:
    def serve(server: Server, application: str) -> Server:
        program = Path(sys.executable).with_name("uwsgi")
        if not program.exists():
            pytest.skip("there is no uwsgi")
        line = "--master --die-on-term --need-app --enable-threads"
        socket = ("--http-socket", f"127.0.0.1:{server.web}", "-H", sys.prefix)
        return server.serve(application, str(program), *line.split(), *socket, *options)

    return serve


GUNICORN = ("--workers=1", "--bind=127.0.0.1:{port}", "--worker-tmp-dir=.", "--no-control-socket")


def gunicorn(*options: str) -> Callable[[Server, str], Server]:
    return module("gunicorn", *GUNICORN, *options, "app:application")


def asgi_worker(name: str) -> Callable[[Server, str], Server]:
    """Serve by this worker class of gunicorn: one of its own, or a module's."""

    def serve(server: Server, application: str) -> Server:
        module, is_foreign, _ = name.partition(".")
        if is_foreign:
            pytest.importorskip(module)
        return gunicorn(f"--worker-class={name}")(server, application)

    return serve


UVICORN = module("uvicorn", "--port={port}", "app:application")

WSGI_SERVERS: dict[str, Callable[[Server, str], Server]] = {
    "uwsgi_module": uwsgi("--module", "app:application"),
    "uwsgi_module_lazy": uwsgi("-w", "app", "--lazy-apps"),
    "uwsgi_file": uwsgi("--wsgi-file", "app.py"),
    "uwsgi_file_lazy": uwsgi("--wsgi-file", "app.py", "--lazy-apps"),
    "uwsgi_mount": uwsgi("--mount", "/=app.py"),
    "uwsgi_threads": uwsgi("--wsgi-file", "app.py", "--threads", "2"),
    "gunicorn_sync": gunicorn(),
    "gunicorn_preload": gunicorn("--preload"),
    "gunicorn_gthread": gunicorn("--threads=2"),
    "gunicorn_gevent": gunicorn("--worker-class=gevent"),
    "hypercorn": module("hypercorn", "--bind=127.0.0.1:{port}", "wsgi:app:application"),
    **{name: own(name) for name in PROGRAMS},
}

ASGI_SERVERS = {
    "uvicorn": UVICORN,
    "uvicorn_workers": module("uvicorn", "--port={port}", "--workers=2", "app:application"),
    "gunicorn_asgi": asgi_worker("asgi"),
    "gunicorn_uvicorn": asgi_worker("uvicorn.workers.UvicornWorker"),
    "hypercorn": module("hypercorn", "--bind=127.0.0.1:{port}", "app:application"),
    "daphne": module("daphne", "--port={port}", "app:application"),
}

FRAMEWORKS = {
    "flask": (FLASK, gunicorn()),
    "django": (DJANGO, uwsgi("--module", "app:application")),
    "django_file": (DJANGO, uwsgi("--wsgi-file", "app.py")),
    "pecan": (PECAN, own("wsgiref")),
    "paste": (PASTE, gunicorn()),
    "fastapi": (FASTAPI, UVICORN),
}

EVERY = {
    **{f"wsgi-{name}": (WSGI, serve) for name, serve in WSGI_SERVERS.items()},
    **{f"asgi-{name}": (ASGI, serve) for name, serve in ASGI_SERVERS.items()},
    **{f"framework-{name}": value for name, value in FRAMEWORKS.items()},
}


def get(server: Server, path: str) -> int:
    """Return the status of a request, or 0 if there was none."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.web}{path}", timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def requests(server: Server, **wanted: object) -> dict[str, Any]:
    """Wait until the report has these values for `requests`."""

    def look() -> dict[str, Any] | None:
        health = server.try_health()
        found: dict[str, Any] = (health or {"details": {}})["details"].get("requests", {})
        return found if wanted.items() <= found.items() else None

    return eventually(look)  # type: ignore[return-value]


@pytest.mark.parametrize(("application", "serve"), EVERY.values(), ids=EVERY)
def test_an_application_that_fails_is_seen_whoever_made_it_and_whatever_serves_it(
    server: Server, application: str, serve: Callable[[Server, str], Server]
) -> None:
    for name in ("flask", "django", "pecan", "paste.deploy", "fastapi"):
        if f"import {name.partition('.')[0]}" in application:
            pytest.importorskip(name)
    serve(server, application)
    eventually(lambda: get(server, "/") == 200)
    requests(server, state="passing", in_flight=0)
    get(server, "/raises")
    requests(server, state="transient", in_flight=0, failures=1)
    eventually(lambda: get(server, "/") == 200)


def test_the_application_of_paste_in_uwsgi_is_recorded(server: Server) -> None:
    pytest.importorskip("paste.deploy")
    server.environment["NO_APPLICATION"] = "1"
    (server.folder / "paste.ini").write_text("[app:main]\npaste.app_factory = app:make\n")
    uwsgi("--paste", f"config:{server.folder}/paste.ini", "--pythonpath", ".")(server, PASTE)
    eventually(lambda: get(server, "/") == 200)
    requests(server, state="passing", in_flight=0)


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (uwsgi("--module", "app:application"), "TypeError: 'int' object is not callable"),
        (uwsgi("--module", "app:make()"), "TypeError: 'NoneType' object is not callable"),
        (uwsgi("--mount", "/=app.py"), "must be a callable object"),
        (gunicorn(), "Application object must be callable"),
    ],
    ids=["uwsgi", "uwsgi_call", "uwsgi_mount", "gunicorn"],
)
def test_of_an_application_that_is_not_callable_the_server_says_what_it_says_without_hooks(
    server: Server, serve: Callable[[Server, str], Server], words: str
) -> None:
    serve(server, "application = 5\ndef make(): return None\n")
    # Some end, others say so at each request.
    eventually(lambda: get(server, "/") or words in server.output())
    assert words in server.output()
    assert "expected a WSGI application" not in server.output()


def test_a_worker_whose_every_thread_hangs_is_a_fault_and_one_with_room_is_not(server: Server) -> None:
    server.environment["HEALTHBOARD_REQUESTS__STALL_AFTER"] = "1"
    pytest.importorskip("gunicorn")
    gunicorn("--threads=2", "--timeout=0")(server, WSGI)
    saturate(server, places=2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("lazy", [(), ("--lazy-apps",)], ids=["prefork", "lazy"])
def test_all_workers_of_uwsgi_that_hang_are_a_fault_and_one_place_is_none(
    server: Server, lazy: tuple[str, ...], threads: int
) -> None:
    server.environment["HEALTHBOARD_REQUESTS__STALL_AFTER"] = "1"
    uwsgi("--wsgi-file", "app.py", "--processes", "2", "--threads", str(threads), *lazy)(server, WSGI)
    saturate(server, places=2 * threads)


# The interpreter of a worker knows these threads, but they are not there: a look at one can crash it.
THREADS_IN_MASTER = """
import threading
def in_master(): time.sleep(3600)
for _ in range(4): threading.Thread(target=in_master, daemon=True).start()
"""


def test_a_worker_tells_where_its_own_threads_are_and_not_those_of_its_master(server: Server) -> None:
    server.environment["HEALTHBOARD_REQUESTS__STALL_AFTER"] = "1"
    uwsgi("--wsgi-file", "app.py", "--processes", "2")(server, WSGI + THREADS_IN_MASTER)
    eventually(lambda: len(server.workers()) == 2 and get(server, "/") == 200)
    workers = server.workers()
    hanging = [threading.Thread(target=get, args=(server, "/slow")) for _ in workers]
    for thread in hanging:
        thread.start()
    text = eventually(lambda: " in app.py:" in (text := ask(server.socket, "/health?verbose")[1]) and text)
    assert "in_master" not in text
    assert server.workers() == workers
    (server.folder / "go on").touch()
    for thread in hanging:
        thread.join()


def saturate(server: Server, places: int) -> None:
    """Let requests hang until there is no place left, and go on."""
    eventually(lambda: get(server, "/") == 200)
    hanging = []
    for place in range(places):
        thread = threading.Thread(target=get, args=(server, "/slow"))
        hanging.append(thread)
        thread.start()
        eventually(lambda: in_flight(server) == place + 1)  # noqa: B023 - it waits here
        if place + 1 < places:
            # Twice `stall_after`. It is DEGRADED where one worker has no place left.
            time.sleep(2)
            assert server.health()["status"] != "FAULT"
    health = eventually(lambda: (h := server.health())["status"] == "FAULT" and h)
    assert re.search(r"requests: (all \d places|its only place) taken", health["message"]), health["message"]
    (server.folder / "go on").touch()
    for thread in hanging:
        thread.join()
    eventually(lambda: server.health()["status"] == "OK")


def in_flight(server: Server) -> int:
    return int((server.try_health() or {"details": {}})["details"].get("requests", {}).get("in_flight", 0))


UPLOADS = {
    "uwsgi": (WSGI, uwsgi("--wsgi-file", "app.py", "--processes", "2")),
    "gunicorn": (WSGI, gunicorn("--threads=2")),
    "gevent": (WSGI, gunicorn("--worker-class=gevent")),
    "uvicorn": (
        FASTAPI + "@application.post('/upload')\nasync def upload(request: fastapi.Request):\n"
        "    return str(len(await request.body()))\n",
        UVICORN,
    ),
}


@pytest.mark.parametrize(("application", "serve"), UPLOADS.values(), ids=UPLOADS)
def test_a_long_upload_is_no_fault_while_there_is_room(
    server: Server, application: str, serve: Callable[[Server, str], Server]
) -> None:
    server.environment["HEALTHBOARD_REQUESTS__STALL_AFTER"] = "1"
    if "fastapi" in application:
        pytest.importorskip("fastapi")
    serve(server, application)
    eventually(lambda: get(server, "/") == 200)
    with socket.create_connection(("127.0.0.1", server.web), timeout=20) as client:
        client.sendall(
            b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"
        )
        end = time.monotonic() + 4
        sent = 0
        while time.monotonic() < end:
            client.sendall(b"x")
            sent += 1
            time.sleep(0.1)
            assert server.health()["status"] == "OK"
        client.sendall(b"x" * (100 - sent))
        assert b"200" in client.makefile("rb").readline()
    requests(server, state="passing", in_flight=0)


LEAVERS = {
    name: (WSGI, serve)
    for name, serve in WSGI_SERVERS.items()
    if name
    in (
        "uwsgi_file",
        "gunicorn_sync",
        "gunicorn_gthread",
        "gunicorn_gevent",
        "waitress",
        "eventlet",
        "gevent",
    )
} | {"uvicorn": (ASGI, UVICORN)}


@pytest.mark.parametrize(("application", "serve"), LEAVERS.values(), ids=LEAVERS)
@pytest.mark.parametrize("early", ["body", "reset", "download"])
def test_a_client_that_goes_away_is_no_failure(
    server: Server, application: str, serve: Callable[[Server, str], Server], early: str
) -> None:
    serve(server, application)
    eventually(lambda: get(server, "/") == 200)
    path = "/download" if early == "download" else "/waits" if application is ASGI else "/upload"
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.web), timeout=20) as client:
            length = 0 if early == "download" else 100
            client.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
            if length:
                client.sendall(b"x")
            else:
                client.recv(1)
            if early != "body":
                # The close resets the connection.
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            time.sleep(0.2)
    # After those before it.
    eventually(lambda: get(server, "/") == 200)
    requests(server, state="passing", failures=0, in_flight=0)
    time.sleep(0.5)
    requests(server, state="passing", failures=0, in_flight=0)
