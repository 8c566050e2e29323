"""A relay between a client and a server: it stands for a network that fails."""

from __future__ import annotations

import contextlib
import socket
import threading


class Relay:
    """Passes bytes on until it is held, as when packets are lost, or closed, as when the server has ended."""

    def __init__(self, server_port: int) -> None:
        self.server_port = server_port
        # How many connections it has accepted.
        self.accepted = 0
        self._passes = threading.Event()
        self._passes.set()
        self._streams: list[socket.socket] = []
        self.port = 0
        self.open()

    def open(self) -> None:
        """Accept connections, after `close` on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Close all connections, and accept none."""
        self.release()
        self._shut(self._listener)
        self.drop()

    def drop(self) -> None:
        """Close all connections, and accept others."""
        while self._streams:
            self._shut(self._streams.pop())

    def hold(self) -> None:
        """Pass nothing on, and close nothing. Whoever connects gets no answer."""
        self._passes.clear()

    def release(self) -> None:
        """End `hold`."""
        self._passes.set()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                self.accepted += 1
                server = socket.create_connection(("127.0.0.1", self.server_port))
                self._streams += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._passes.wait()
                target.sendall(data)
        self._shut(source)
        self._shut(target)

    @staticmethod
    def _shut(stream: socket.socket) -> None:
        with contextlib.suppress(OSError):
            stream.shutdown(socket.SHUT_RDWR)
        stream.close()
