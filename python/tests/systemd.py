"""The socket on which systemd listens to a service."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path

from conftest import Service


class Systemd:
    """Stands for systemd. Its services have its socket in their environment."""

    def __init__(self, folder: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._path = str(folder / "notify")
        self._socket.bind(self._path)
        self._unread: list[str] = []

    def of(self, service: Service, **variables: str) -> Service:
        """Have the service started by systemd."""
        service.environment |= {"NOTIFY_SOCKET": self._path, **variables}
        return service

    def line(self, start: str, within: float = 15.0) -> str:
        """Wait for a line that begins like this, and return it. Skip all others."""
        end = time.monotonic() + within
        while True:
            while self._unread:
                if (line := self._unread.pop(0)).startswith(start):
                    return line
            self._receive(max(end - time.monotonic(), 0.001))

    def lines(self) -> list[str]:
        """Return all lines that have come since."""
        with contextlib.suppress(TimeoutError):
            while True:
                self._receive(0.001)
        lines, self._unread = self._unread, []
        return lines

    def _receive(self, within: float) -> None:
        self._socket.settimeout(within)
        self._unread += self._socket.recv(4096).decode().splitlines()

    def close(self) -> None:
        self._socket.close()
