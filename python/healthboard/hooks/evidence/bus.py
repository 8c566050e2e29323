"""What this process knows of a message broker, for the hooks of amqp, kombu and oslo.messaging.

Connecting, publishing and consuming are told apart, each with an indicator of its own. A heartbeat proves the
connection and nothing else: a broker that takes no messages goes on sending them.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
import weakref

from ... import notices
from ...refresher import NotAsked, register

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ... import Indicator
    from ...classify import Evidence

# Seconds after which the broker should have answered.
LATE_AFTER = 5.0

# oslo.messaging and kombu wait at most 30 s between two attempts to connect. This adds some seconds.
MAX_RETRY_INTERVAL = 35.0

# Parts of the heartbeat interval. RabbitMQ checks twice per interval whether it has sent anything. So a
# heartbeat follows another heartbeat after half of the interval (measured), and other frames after all of it.
AFTER_HEARTBEAT, AFTER_OTHERS = 1 / 2, 1

# The additional part of the interval that a busy host may take.
SENT_LATE = 1 / 12

# Numbers of the module `socket`, which must not be imported here: a service may have to patch it first. The
# last one is the state of a TCP connection that neither end has closed.
TCP, TCP_INFO, ESTABLISHED = 6, 11, 1

# The `ioctl` request for the number of unread bytes, from Linux's headers.
FIONREAD = 0x541B

# The broker reports within this many seconds that it takes no messages.
BLOCKED_WITHIN = 1.0

# Seconds between two successes that frames record.
MIN_FRAME_INTERVAL = 1.0


class NoAnswer(Exception):  # noqa: N818 - the name of a failure
    """The broker has not answered a request."""


class Unconfirmed(Exception):  # noqa: N818 - the name of a failure
    """The broker has not confirmed a message."""


class Operations:
    """The operations of one indicator. An operation that is late is a failure even before it ends."""

    def __init__(self, indicator: Indicator, late: type[Exception]) -> None:
        self.indicator = indicator
        self._late = late
        self._pid = os.getpid()
        self._begun: dict[object, float] = {}

    def run(
        self,
        judge: Callable[[BaseException], Evidence] | None,
        succeeds: bool,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call the function, which is one operation. With `succeeds`, its return is a success."""
        key = object()
        self._begun[key] = time.monotonic()
        try:
            with self.indicator.begin(judge) as operation:
                result = function(*args, **kwargs)
                if not succeeds:
                    operation.end()
        finally:
            self._begun.pop(key, None)
        return result

    def is_late(self) -> bool:
        """Tell whether an operation has been in flight for too long."""
        begun = list(self._begun.values())
        if not begun or time.monotonic() - min(begun) <= LATE_AFTER:
            return False
        if self._pid == os.getpid():
            return True
        # A forked child has none of its parent's operations in flight.
        self._pid = os.getpid()
        self._begun.clear()
        return False

    def check(self) -> None:
        """Raise the failure of a late operation, unless a failure is recorded already."""
        if self.is_late() and not self.indicator.failures():
            raise self._late

    def are_in_flight(self) -> bool:
        return bool(self._begun)


class Link:
    """One connection of this process to a broker."""

    def __init__(self, bus: Bus, connection: Any) -> None:
        self.bus = bus
        self.connection = weakref.ref(connection)
        self.pid = os.getpid()
        self.last_frame = time.monotonic()
        self.last_was_heartbeat = False
        # Set after the handshake.
        self.is_ready = False
        # Whether a thread waits for a frame, and when a thread last waited without getting one.
        self.is_read = False
        self.last_empty_read = 0.0
        # When the first message was written that the broker will not confirm.
        self.first_write: float | None = None
        # Whether the broker takes no messages over it.
        self.is_blocked = False
        # Whether an overdue heartbeat has been recorded.
        self.is_silent = False

    def is_overdue(self) -> bool:
        """Tell whether the broker should have sent a heartbeat, which the service would have read."""
        heartbeat = getattr(self.connection(), "heartbeat", 0)
        read = time.monotonic() if self.is_read else self.last_empty_read
        sent_within = AFTER_HEARTBEAT if self.last_was_heartbeat else AFTER_OTHERS
        is_late = 0 < heartbeat * (sent_within + SENT_LATE) < read - self.last_frame
        # After a hang of the service itself, the broker's frames may still be unread.
        return is_late and not self._has_unread()

    def _has_unread(self) -> bool:
        # The property `transport` would connect.
        transport: Any = getattr(self.connection(), "_transport", None)
        try:
            count = fcntl.ioctl(transport.sock.fileno(), FIONREAD, bytes(4))
        except (AttributeError, OSError, ValueError):
            # The connection has been closed in the meantime.
            return False
        return bool(struct.unpack("i", count)[0] > 0)

    def is_open(self) -> bool:
        """Tell whether the connection is one of this process, and is not closed at the other end."""
        # The property `transport` would connect.
        transport = getattr(self.connection(), "_transport", None)
        if self.pid != os.getpid() or transport is None or not transport.connected:
            return False
        try:
            return bool(transport.sock.getsockopt(TCP, TCP_INFO, 1)[0] == ESTABLISHED)
        except (AttributeError, OSError):
            # The connection has been closed in the meantime.
            return False


class Bus:
    """The connections to a broker that are used for the same purpose."""

    def __init__(self, connecting: Indicator, publishing: Indicator) -> None:
        self.requests = Operations(connecting, NoAnswer)
        self.publishes = Operations(publishing, Unconfirmed)
        # Asks the broker over a connection of its own, and closes that connection.
        self.ask: Callable[[], object] | None = None
        self.stop_asking: Callable[[], object] = _nothing
        # A dictionary serves as a set: unlike a `WeakSet`, other threads may change it during an iteration.
        self._links: dict[Link, None] = {}
        # The link that received the newest frame.
        self._newest: Link | None = None
        # Whether a failure may have been recorded since the newest success of a frame.
        self._has_failed = False
        # The times of the newest recorded frame and of the newest failed attempt to connect (monotonic
        # clock).
        self._frame_recorded = 0.0
        self._attempt_failed = float("-inf")
        register(connecting, self._refresh)
        register(publishing, self._refresh_publishing)

    def connect(
        self, link: Link, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call the function, which is an attempt to connect."""
        for other in list(self._links):
            if other.connection() is None:
                self._links.pop(other, None)
        self._links[link] = None
        try:
            # Every exception is a failure.
            result = self.requests.run(None, False, function, args, kwargs)
        except Exception:
            self._has_failed = True
            self._attempt_failed = time.monotonic()
            raise
        with notices.suppress_errors("message bus"):
            link.is_ready = True
            self.receive(link)
        return result

    def request(
        self, link: Link, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Call the function, which waits for the answer to a request."""
        # Its exceptions come from a frame or from the loss of the connection, which are recorded themselves.
        result = self.requests.run(_no_evidence, False, function, args, kwargs)
        if self._has_failed:
            # The frame with the answer came while the request was late.
            with notices.suppress_errors("message bus"):
                self.receive(link)
        return result

    def receive(self, link: Link, is_heartbeat: bool = False) -> None:
        """Record that a frame has come. It proves nothing about other connections or about publishing."""
        now = link.last_frame = time.monotonic()
        link.last_was_heartbeat = is_heartbeat
        link.is_silent = False
        self._newest = link
        if not self._has_failed and now - self._frame_recorded < MIN_FRAME_INTERVAL:
            return
        if not self.requests.is_late() and not any(each.is_silent for each in self._open_links()):
            self._has_failed = False
            self._frame_recorded = now
            if self.requests.are_in_flight():
                # A success of the work would count as an end of these operations.
                self.requests.indicator.begin_refresh().ok()
            else:
                self.requests.indicator.record_ok()

    def lose(self, link: Link, raised: BaseException) -> None:
        """Record that a connection is lost, unless another one has received a frame since."""
        if self._newest is link:
            self._has_failed = True
            self.requests.indicator.record_fail(raised)

    def check_heartbeat(self, link: Link) -> None:
        """Record, once, that the broker has not sent an expected heartbeat."""
        if not link.is_silent and link.is_overdue():
            link.is_silent = True
            self._has_failed = True
            self.requests.indicator.record_fail("HeartbeatMissed")

    def write(self, link: Link) -> None:
        """Record that a message is written that the broker will not confirm. By itself it proves nothing."""
        now = time.monotonic()
        link.first_write = link.first_write or now
        # A broker that takes no messages says so when it gets the first one.
        taken = not link.is_blocked and now - link.first_write > BLOCKED_WITHIN
        if taken and self.publishes.indicator.failures():
            self.publishes.indicator.record_ok()

    def block(self, link: Link) -> None:
        """Record that the broker has said that it takes no messages. It says so to each connection."""
        is_news = not self._is_blocked()
        link.is_blocked = True
        if is_news:
            self.publishes.indicator.record_fail("Blocked")

    def unblock(self, link: Link) -> None:
        """Record that the broker has said that it takes messages again."""
        link.is_blocked = False
        if not self._is_blocked():
            self.publishes.indicator.record_ok()

    def _is_blocked(self) -> bool:
        return any(link.is_blocked for link in self._open_links())

    def _open_links(self) -> list[Link]:
        return [link for link in list(self._links) if link.is_open()]

    def _refresh(self) -> None:
        self._has_failed = True
        self.requests.check()
        links = self._open_links()
        for link in links:
            self.check_heartbeat(link)
        if links:
            self.stop_asking()
            raise NotAsked
        if self.ask is None or time.monotonic() - self._attempt_failed < MAX_RETRY_INTERVAL:
            # The service itself connects again.
            raise NotAsked
        self.ask()

    def _refresh_publishing(self) -> None:
        self.publishes.check()
        # The broker is asked only after a failure: a service that no longer publishes must not stay failing.
        # It is not asked while it is unavailable, nor while the service itself publishes.
        failed = self.publishes.indicator.failures() and not self.requests.indicator.failures()
        if self.ask is None or not failed or self.publishes.are_in_flight() or self._is_blocked():
            raise NotAsked
        self.ask()


def _no_evidence(_raised: BaseException) -> None:
    return None


def _nothing() -> None:
    pass
