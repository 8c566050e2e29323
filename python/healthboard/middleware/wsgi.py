"""Requests to a WSGI application.

A request is in flight until the application has returned the body. If the body is a generator, it is in
flight until the generator has set the status. So a response that streams for hours is not in flight. A later
exception of the generator is a failure. A request is as old as the newest part of its body that the
application has read: a long upload is not a hang as long as it continues.

A client that goes away is not a failure. So errors of `wsgi.input` or `write`, and errors that follow from
them, are no evidence.
"""

from __future__ import annotations

from types import GeneratorType

from . import requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .. import Operation


class WSGI:
    """Record every request to a WSGI application. All attributes are the application's own.

    `capacity` is how many requests a process of the server can serve at once, such as its number of threads.
    When all of them have been taken for too long, that is a FAULT.
    """

    __slots__ = ("_application",)

    def __init__(self, application: Callable[..., Any], *, capacity: int | None = None) -> None:
        if not callable(application):
            raise TypeError(f"expected a WSGI application, found {application!r}")
        self._application = application
        if capacity is not None:
            requests.set_capacity(capacity)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)

    def __call__(self, environ: Any, start_response: Any) -> Any:
        if requests.MARK in environ or requests.is_probe(environ.get("PATH_INFO", "")):
            return self._application(environ, start_response)
        environ[requests.MARK] = True
        request = _Request(start_response)
        if environ.get("CONTENT_LENGTH", "") not in ("", "0") or "HTTP_TRANSFER_ENCODING" in environ:
            environ["wsgi.input"] = _Input(environ.get("wsgi.input"), request)
        try:
            body = self._application(environ, request.start)
        except BaseException as raised:
            request.operation.__exit__(None, raised, None)
            raise
        return request.end(body)


class _Request:
    """A request, from the call of the application onwards."""

    __slots__ = ("_has_returned", "_start_response", "_status", "client_is_gone", "operation")

    def __init__(self, start_response: Any) -> None:
        requests.say_capacity()
        self._start_response = start_response
        self._status: str | None = None
        self._has_returned = False
        self.client_is_gone = False
        self.operation: Operation = requests.indicator().begin(self.judge)

    def judge(self, raised: BaseException) -> bool | None:
        # Any other exception ends the thread, the green thread or the process.
        return None if self.client_is_gone or not isinstance(raised, Exception) else False

    def start(self, status: Any, *args: Any, **kwargs: Any) -> Any:
        """Take the place of `start_response`."""
        self._status = status
        if self._has_returned:
            # The status comes with the first part of the body.
            self._end_by_status()
        write = self._start_response(status, *args, **kwargs)
        return None if write is None else _write(write, self)

    def end(self, body: Any) -> Any:
        """End the operation, unless a generator has yet to set the status. Return the body."""
        self._has_returned = True
        is_generator = type(body) is GeneratorType
        if self._status is not None:
            self._end_by_status()
        elif not is_generator:
            self.operation.end()
        # Servers treat some classes specially, so no other body is wrapped.
        return _Generator(body, self) if is_generator else body

    def renew(self) -> None:
        """Begin a new operation, since the application has read a part of the body."""
        if not self._has_returned:
            old, self.operation = self.operation, requests.indicator().begin(self.judge)
            old.end()

    def _end_by_status(self) -> None:
        code = str(self._status)[:3]
        if self.client_is_gone:
            self.operation.end()
        else:
            requests.end(self.operation, int(code) if code.isdigit() else 0)

    def fail(self, raised: BaseException) -> None:
        """Record an exception of the body, whether or not the operation has ended."""
        if self.client_is_gone:
            self.operation.end()
        elif self._status is None:
            self.operation.fail(raised)
        else:
            requests.indicator().record_fail(raised)


class _Generator:
    """A body that is a generator."""

    __slots__ = ("_items", "_request")

    def __init__(self, items: Any, request: _Request) -> None:
        self._items = items
        self._request = request

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._items)
        except StopIteration:
            self._request.operation.end()
            raise
        except Exception as raised:
            self._request.fail(raised)
            raise

    def close(self) -> None:
        # The client may have disconnected before the first item.
        self._request.operation.end()
        self._items.close()


class _Input:
    """A request's body as the application reads it. Its errors are the client's."""

    __slots__ = ("_input", "_request")

    def __init__(self, input: Any, request: _Request) -> None:
        self._input = input
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._input, name)

    def read(self, *args: Any) -> Any:
        return self._call(self._input.read, *args)

    def readline(self, *args: Any) -> Any:
        return self._call(self._input.readline, *args)

    def readlines(self, *args: Any) -> Any:
        return self._call(self._input.readlines, *args)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.readline, b"")

    def _call(self, function: Callable[..., Any], *args: Any) -> Any:
        try:
            data = function(*args)
        except Exception:
            self._request.client_is_gone = True
            raise
        self._request.renew()
        return data


def _write(write: Callable[[bytes], object], request: _Request) -> Callable[[bytes], None]:
    def wrapper(data: bytes) -> None:
        try:
            write(data)
        except Exception:
            request.client_is_gone = True
            raise

    return wrapper
