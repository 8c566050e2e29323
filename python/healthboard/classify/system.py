"""The system: OSError, sockets, TLS, names

The error number decides. Without one, the class does. A file that is missing or forbidden says nothing: it
can be any file. Every `OSError` of a function that only connects is a failure (`judge_connecting`).
"""

from __future__ import annotations

import errno

from .finding import Entry, Finding, by_key, entries, read, text, unavailable, unknown

NOT_REACHED = unavailable("the peer was not reached, or there is no network")
BROKEN = unavailable("the connection broke")
NO_NAME = unavailable("its name cannot be resolved")
TLS = unavailable(
    "TLS failed: a certificate that is refused or expired, no common version, a broken connection"
)

NOT_READY = unknown("the socket is not ready yet")

NUMBERS = (
    (
        NOT_REACHED,
        (
            *(errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN),
            *(errno.ETIMEDOUT, errno.EADDRNOTAVAIL),
        ),
    ),
    (BROKEN, (errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.ENETRESET, errno.ESTALE)),
    (
        unavailable("the disk is full, read-only or broken", by_work=True),
        (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO),
    ),
    (
        unavailable("this process has no descriptors, or the system no memory, left"),
        (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS),
    ),
)

# amqp and asyncio raise an `OSError` without a number; asyncio, when several addresses were not reached.
WORDS = (
    (BROKEN, ("Server unexpectedly closed connection", "Socket closed")),
    (NOT_REACHED, ("Multiple exceptions: [Errno",)),
)

_numbers = by_key(NUMBERS)


def by_error(raised: BaseException) -> Finding | None:
    """By the error number; without one, by the words that amqp and asyncio use."""
    number = read(raised, "errno")
    if number is not None:
        return _numbers.get(number)
    words = text(raised)
    return next((found for found, starts in WORDS if words.startswith(starts)), None)


def by_error_or_broken(raised: BaseException) -> Finding | None:
    """By the error number; without one, the connection broke."""
    return BROKEN if read(raised, "errno") is None else by_error(raised)


CLASSES: dict[str, Entry] = {
    **entries("socket", gaierror=NO_NAME, herror=NO_NAME),
    # The number of an `SSLError` is not the system's.
    **entries("ssl", SSLWantReadError=NOT_READY, SSLWantWriteError=NOT_READY, SSLError=TLS),
    **entries("builtins", ConnectionError=by_error_or_broken, OSError=by_error),
}
