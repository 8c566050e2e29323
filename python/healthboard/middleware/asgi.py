"""Requests to an ASGI application.

A request is in flight until the application has started the response, except while it waits for the client to
send the body: a slow upload is not a hang. An exception after that is a failure. WebSockets and the lifespan
are not requests. A disconnected client is not a failure, and neither are the errors that follow from it.
"""

from __future__ import annotations

from . import requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .. import Operation


class ASGI:
    """Record every HTTP request to an ASGI 3 application. All attributes are the application's own."""

    __slots__ = ("_application",)

    def __init__(self, application: Callable[..., Any]) -> None:
        if not callable(application):
            raise TypeError(f"expected an ASGI application, found {application!r}")
        self._application = application

    def __getattr__(self, name: str) -> Any:
        return getattr(self._application, name)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        if scope["type"] != "http" or requests.MARK in scope or requests.is_probe(requests.path_of(scope)):
            return await self._application(scope, receive, send)
        scope[requests.MARK] = True
        request = _Request(receive, send)
        try:
            result = await self._application(scope, request.receive, request.send)
        except Exception as raised:
            request.fail(raised)
            raise
        except BaseException:
            # Dropping the operation abandons it.
            request.operation = None
            raise
        if request.operation is not None:
            request.fail("NoResponse")
        return result


class _Request:
    """A request, from the call of the application onwards."""

    __slots__ = (
        "_has_failed",
        "_has_started",
        "_is_read",
        "_receive",
        "_send",
        "client_is_gone",
        "operation",
    )

    def __init__(self, receive: Any, send: Any) -> None:
        self._receive, self._send = receive, send
        # Whether the body has been received; whether the response has started, and whether it is a failure.
        self._is_read = self._has_started = self._has_failed = False
        self.client_is_gone = False
        self.operation: Operation | None = requests.indicator().begin()

    async def receive(self) -> Any:
        if self._is_read or self._has_started:
            message = await self._receive()
        else:
            self._end()
            try:
                message = await self._receive()
            finally:
                # Another task may have started the response or received the rest in the meantime.
                if self.operation is None and not self._has_started:
                    self.operation = requests.indicator().begin()
        if message["type"] == "http.disconnect":
            self.client_is_gone = True
        elif not message.get("more_body", False):
            self._is_read = True
        return message

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._start(message["status"])
        try:
            await self._send(message)
        except Exception:
            self.client_is_gone = True
            raise

    def _start(self, status: int) -> None:
        self._has_started = True
        # There is no operation while another task waits for the client.
        operation, self.operation = self.operation or requests.indicator().begin(), None
        if self.client_is_gone:
            operation.end()
        else:
            self._has_failed = requests.end(operation, status)

    def fail(self, failure: BaseException | str) -> None:
        """Record that the application has failed, unless its response says so."""
        if self.client_is_gone or self._has_failed:
            self._end()
        elif self.operation is None:
            requests.indicator().record_fail(failure)
        else:
            operation, self.operation = self.operation, None
            operation.fail(failure)

    def _end(self) -> None:
        operation, self.operation = self.operation, None
        if operation is not None:
            operation.end()
