"""What the errors of HTTP clients mean. The server is real, and as bad as asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import requests
import urllib3
from keystoneauth1 import session
from provoke import ANSWERED, UNAVAILABLE, UNKNOWN, error, means
from servers import free_port

from healthboard.classify import classify


class Handler(BaseHTTPRequestHandler):
    """The path says what to do: a status, or a fault."""

    def do_GET(self) -> None:
        what = self.path.strip("/")
        if what == "hang":
            self.server.hung.wait(5)  # type: ignore[attr-defined]
        elif what == "broken":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif what.isdigit():
            self.send_response(int(what))
            self.send_header("Content-Length", "0")
            self.end_headers()
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hung = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.hung.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    thread.join()


def with_requests(url: str) -> None:
    requests.get(url, timeout=0.5).raise_for_status()


def with_httpx(url: str) -> None:
    httpx.get(url, timeout=0.5).raise_for_status()


def with_urllib3(url: str) -> None:
    urllib3.PoolManager().request("GET", url, timeout=0.5, retries=False)


def with_urllib3_retries(url: str) -> None:
    urllib3.PoolManager().request("GET", url, timeout=0.5, retries=urllib3.Retry(1, backoff_factor=0))


def with_keystoneauth1(url: str) -> None:
    session.Session().get(url, timeout=0.5, authenticated=False)


CLIENTS = [with_requests, with_httpx, with_urllib3, with_urllib3_retries, with_keystoneauth1]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_peer_that_does_not_answer_is_unavailable(client: Callable[[str], None], server: str) -> None:
    assert means(error(client, f"http://127.0.0.1:{free_port()}")) is UNAVAILABLE
    assert means(error(client, "http://absent.invalid")) is UNAVAILABLE
    for fault in ("hang", "closed", "broken"):
        assert means(error(client, f"{server}/{fault}")) is UNAVAILABLE, fault


@pytest.mark.parametrize("client", [with_requests, with_httpx, with_keystoneauth1])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ANSWERED),
        (401, UNKNOWN),
        (403, ANSWERED),
        (404, ANSWERED),
        (409, ANSWERED),
        (429, UNKNOWN),
        (500, UNAVAILABLE),
        (501, ANSWERED),
        (503, UNAVAILABLE),
        (504, UNAVAILABLE),
        (507, UNAVAILABLE),
    ],
)
def test_of_an_answer_the_status_decides(
    client: Callable[[str], None], server: str, status: int, expected: object
) -> None:
    assert means(error(client, f"{server}/{status}")) is expected


@pytest.mark.parametrize("client", CLIENTS[:3])
def test_a_wrong_address_says_nothing(client: Callable[[str], None]) -> None:
    assert means(error(client, "nonsense://x")) is UNKNOWN


def test_tls_that_the_peer_does_not_speak_is_unavailable(server: str) -> None:
    for client in (with_requests, with_httpx, with_urllib3, with_keystoneauth1):
        assert means(error(client, server.replace("http:", "https:"))) is UNAVAILABLE


def test_a_pool_without_a_free_place_is_unavailable_and_only_work_can_clear_it(server: str) -> None:
    limits = httpx.Limits(max_connections=1)
    timeout = httpx.Timeout(1, pool=0.1)
    with httpx.Client(limits=limits, timeout=timeout) as client, client.stream("GET", f"{server}/200"):
        raised = error(client.get, f"{server}/200")
    assert means(raised) is UNAVAILABLE
    assert classify(raised).by_work
