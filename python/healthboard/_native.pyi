from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, final

__all__ = [
    "Checked",
    "Indicator",
    "Operation",
    "__version__",
    "attach",
    "drain",
    "goodbye",
    "scrub",
    "start",
    "tick",
    "watch",
]

__version__: str

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Failure: TypeAlias = BaseException | type[BaseException] | str

# Absent: every `Exception` is a failure. Classes: only these are. A function: `False` is a failure, `True` a
# success, `None` no evidence.
_Judge: TypeAlias = tuple[type[BaseException], ...] | Callable[[Any], bool | None]

@final
class Indicator:
    """A named stand-in for one thing the service needs."""

    @property
    def name(self) -> str: ...
    def __new__(
        cls,
        name: str,
        *,
        impact: Literal["critical", "degrading", "informational"] | None = None,
        ttl: float | None = None,
        failure_threshold: int | None = None,
        failure_window: float | None = None,
        stall_after: float | None = None,
        slow_after: float | None = None,
        refresh_interval: float | None = None,
    ) -> Indicator: ...
    @property
    def policy(self) -> dict[str, Any]:
        """What it was made with: seconds, but for `impact` and `failure_threshold`."""

    def failures(self) -> int:
        """Failures in this process since its newest success."""

    def refresh_due(self) -> float | None:
        """How soon this process should refresh it, in seconds; None where there is nothing to refresh."""

    def record_ok(self) -> None:
        """An operation succeeded."""

    def record_fail(self, failure: _Failure, code: str | None = None, text: str | None = None) -> None:
        """An operation failed: with an exception, or a class of them, or its name."""

    def begin(self, judge: _Judge | None = None) -> Operation:
        """An operation begins."""

    def wrap(self, function: _Function, judge: _Judge | None = None) -> _Function:
        """This function, with every call recorded."""

@final
class Operation:
    """An operation in flight. Ends once, with the first of its methods; forgotten, it is abandoned."""

    def ok(self) -> None:
        """It ended well."""

    def fail(self, failure: _Failure, code: str | None = None, text: str | None = None) -> None:
        """It failed."""

    def end(self) -> None:
        """It ended, and that says nothing."""

    def __enter__(self) -> Operation: ...
    def __exit__(
        self,
        _class: type[BaseException] | None,
        raised: BaseException | None,
        _traceback: TracebackType | None,
    ) -> Literal[False]: ...

@final
class Checked:
    """A function whose every call is recorded."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...

def start(
    service: str,
    host: str | None,
    options: Mapping[str, str],
    environment: Mapping[str, str],
    first_use: Callable[[], bool],
    here: bool,
) -> list[str]:
    """Starts health: `options` as in a configuration file, then `environment`, whose variables win.

    Not `here` is only in the processes that this one forks.
    """

def attach() -> None:
    """Gives this process its board now: it may have nothing to record for hours."""

def tick() -> list[tuple[bool, str]]:
    """Stamps `progress`. Returns what is to be logged: whether it is a warning, and the line."""

def scrub(text: str) -> str:
    """The text of an exception as it may stand in a log: in one line, without secrets."""

def drain() -> None:
    """Says that this process is going to end: not ready any more, still alive."""

def watch() -> None:
    """Says that this process only watches over those that it forks."""

def goodbye() -> None:
    """Says that this process ends in good order."""
