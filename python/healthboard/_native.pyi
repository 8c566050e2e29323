from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, final

__all__ = [
    "Checked",
    "Indicator",
    "MemoryBoard",
    "Operation",
    "__version__",
    "attach",
    "before_start",
    "begin_to_end",
    "drain",
    "drain_first_at_exit",
    "end_trace",
    "forked_in_c",
    "goodbye",
    "ready",
    "reloading",
    "scrub",
    "served",
    "stamp",
    "start",
    "take_notices",
    "trace",
    "verdict",
    "watch",
    "watch_signals",
]

__version__: str

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Failure: TypeAlias = BaseException | type[BaseException] | str

# What an exception means: `False` is a failure, `True` a success, `None` no evidence, and "by_work" a failure
# that only work clears, such as a pool without a free connection.
_Meaning: TypeAlias = bool | Literal["by_work"] | None
# Decides what an exception means. Without one, every `Exception` is a failure. With classes, only these are.
_Judge: TypeAlias = tuple[type[BaseException], ...] | Callable[[Any], _Meaning]

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
        """The policy it was created with. Times are in seconds."""

    def failures(self) -> int:
        """Return the number of failures in this process since the newest success."""

    def refresh_due(self) -> float | None:
        """Return the seconds until this process should refresh it; None if there is nothing to refresh."""

    def record_ok(self) -> None:
        """Record that an operation succeeded."""

    def record_fail(self, failure: _Failure, code: str | None = None, text: str | None = None) -> None:
        """Record that an operation failed, with an exception, its class, or the name of its class."""

    def begin(self, judge: _Judge | None = None) -> Operation:
        """Begin an operation."""

    def begin_refresh(self, judge: _Judge | None = None) -> Operation:
        """Begin a refresh, which is not an operation of the work. Without an answer within 5 s it fails."""

    def set_capacity(self, operations: int) -> None:
        """Say how many operations can be in flight in this process. 0 means unknown."""

    def wrap(self, function: _Function, judge: _Judge | None = None) -> _Function:
        """Return the function, with every call recorded."""

@final
class MemoryBoard:
    """A board in memory, in place of the process's own. Recording goes to the newest one."""

    def __new__(cls, service: str, options: Mapping[str, str]) -> MemoryBoard: ...
    def advance(self, seconds: float) -> None:
        """Move the clock forward."""

    def report(self) -> str:
        """Return the answer to a probe, as JSON."""

@final
class Operation:
    """An operation in flight. Its first method call ends it. If dropped before that, it is abandoned."""

    def ok(self) -> None:
        """End it as a success."""

    def fail(self, failure: _Failure, code: str | None = None, text: str | None = None) -> None:
        """End it as a failure."""

    def end(self) -> None:
        """End it without evidence."""

    def __enter__(self) -> Operation: ...
    def __exit__(
        self,
        _class: type[BaseException] | None,
        raised: BaseException | None,
        _traceback: TracebackType | None,
    ) -> Literal[False]: ...

@final
class Checked:
    """A function whose calls are all recorded."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...
    def __get__(self, instance: Any, owner: Any = None, /) -> Any: ...

def start(
    service: str,
    host: str | None,
    options: Mapping[str, str],
    environment: Mapping[str, str],
    on_first_use: Callable[[], bool],
    in_this_process: bool,
) -> list[str]:
    """Start health with `options` as in a configuration file. Variables in `environment` override them.

    Without `in_this_process`, health starts only in processes forked by this one.
    """

def attach() -> None:
    """Create this process's board now rather than at its first recording."""

def stamp() -> None:
    """Stamp `progress`."""

def take_notices() -> list[tuple[bool, str, tuple[str, str, str] | None]]:
    """Return the lines to log, each with whether it is a warning."""

def trace(write: Callable[[int], None], package: str) -> None:
    """Have `write` called with a descriptor when this process hangs. Only the first call has an effect."""

def end_trace() -> None:
    """No longer call the function of `trace`, because the interpreter is about to end."""

def forked_in_c() -> None:
    """Tell the interpreter that C code has forked this process. Call this first, in its only thread."""

def scrub(text: str) -> str:
    """Return the text of an exception as one line without secrets, safe to log."""

def verdict() -> tuple[bool, str, str] | None:
    """Return whether the service is available, why, and the states of indicators; None without health."""

def drain_first_at_exit() -> None:
    """Drain at exit before the handlers run that are registered while the program is loaded."""

def begin_to_end() -> None:
    """Say that the process begins to end."""

def drain() -> None:
    """Say that this process is draining: still alive, no longer ready."""

def ready() -> None:
    """Announce that the service has started, or reloaded, and works. systemd is told so."""

def reloading() -> None:
    """Announce that the service is reloading its configuration. `ready` ends the reload."""

def watch() -> None:
    """Say that this process is a master, which leaves the work to the processes it forks."""

def goodbye() -> None:
    """Say that this process ends in good order."""

def served() -> None:
    """Note that a server embeds this interpreter: its exit status says nothing about the program."""

def watch_signals() -> None:
    """Notice signals that tell this process to end, those among them that the program handles."""

def before_start(callback: Callable[[], bool]) -> None:
    """Call `callback` at the first recording in a process in which health has not started, until it has."""
