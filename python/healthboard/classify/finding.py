"""What the tables consist of."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from typing import Any, Literal, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Meaning(Enum):
    """What an exception says of the thing that an operation used."""

    # The thing has failed, or refuses to work for this service.
    UNAVAILABLE = "unavailable"
    # The exception comes from a thing that works: only this operation was wrong.
    ANSWERED = "answered"
    # It says nothing: it is this process's own, or has several causes.
    UNKNOWN = "unknown"


class Finding(NamedTuple):
    """What an exception means, and why, in a few words.

    With `by_work`, only the service's own work can tell that a failure is over. A small query does not notice
    a full disk or an empty pool.
    """

    meaning: Meaning
    why: str
    by_work: bool = False

    @property
    def evidence(self) -> bool | Literal["by_work"] | None:
        """What an `Indicator`'s judge returns: False or "by_work" a failure, True a success, None neither."""
        if self.meaning is Meaning.UNAVAILABLE:
            return "by_work" if self.by_work else False
        return True if self.meaning is Meaning.ANSWERED else None


# Reads an exception more closely. With None, the next class in the exception's MRO decides.
Reader = Callable[[Any], "Finding | None"]


class Follow(NamedTuple):
    """Of a wrapper: the exception in this attribute decides, or `otherwise` if it is in no table."""

    attribute: str
    otherwise: Finding | Reader | None = None


# What the tables know of a class.
Entry = Finding | Follow | Reader


def unavailable(why: str, by_work: bool = False) -> Finding:
    return Finding(Meaning.UNAVAILABLE, why, by_work)


def answered(why: str) -> Finding:
    return Finding(Meaning.ANSWERED, why)


def unknown(why: str) -> Finding:
    return Finding(Meaning.UNKNOWN, why)


# Nothing but the end of the service's own work can give back a connection.
NO_CONNECTION_LEFT = unavailable("no connection is left for this service")
NO_PRIVILEGE = unknown("a missing privilege: of a single statement, or of all")
NO_FREE_CONNECTION = unavailable("no connection of the service's pool became free in time", by_work=True)


def by_key(rules: Iterable[tuple[Finding, tuple[Key, ...]]]) -> dict[Key, Finding]:
    """Return the finding of each key. A key that stands in two rules is a mistake in the table."""
    found: dict[Key, Finding] = {}
    for finding, keys in rules:
        for key in keys:
            if key in found:
                raise ValueError(f"`{key}` stands in two rules")
            found[key] = finding
    return found


def entries(module: str, **classes: Entry) -> dict[str, Entry]:
    """Return the entries of a module's classes by their full names."""
    return {f"{module}.{name}": entry for name, entry in classes.items()}


def read(owner: object, name: str) -> Any:
    """Return an attribute, or None if it is missing or raises."""
    try:
        return getattr(owner, name, None)
    except Exception:
        return None


def text(raised: BaseException) -> str:
    """Return the message, or "" if there is none to be had."""
    try:
        return str(raised)
    except Exception:
        return ""
