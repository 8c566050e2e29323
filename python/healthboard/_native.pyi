from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeAlias, TypeVar, final

__all__ = [
    "Checked",
    "Claim",
    "Indicator",
    "MemoryBoard",
    "Operation",
    "__version__",
    "attach",
    "before_start",
    "begin_to_end",
    "drain",
    "drain_as_it_exits",
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
class Claim:
    """Something that one process does: this one, or one that is forked from now on."""

    def __new__(cls) -> Claim: ...
    def take(self) -> bool:
        """Take it. Return False if it was taken before."""

@final
class Indicator:
    """A named stand-in for one thing the service needs.

    Times are in seconds. The service's configuration overrides the arguments. If several indicators
    have the same name, the arguments of the first one count.

    - `impact`: "critical", "degrading" or "informational". Default: critical.
    - `ttl`: how long an outcome counts. 0 means without limit. Default: 300.
    - `failure_threshold`, `failure_window`: it is failing after this many failures in a row, if at
      least this much time lies between the first and the newest of them. Default: 2 and 10.
    - `stall_after`: an operation in flight for longer makes it stuck. If no operation has ended for
      longer, it is stalled. 0 means never. Default: 60.
    - `slow_after`: an abandoned operation is a failure from this age on, and no evidence before.
      Default: 10.
    - `refresh_interval`: it is refreshed, if possible, when it had no outcome for this long. 0 means
      never. Default: 10.
    """

    @property
    def name(self) -> str:
        """The name it was created with."""

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
        """Record that an operation failed, with an exception, its class, or the name of its class.

        `code` and `text` replace those of the exception.
        """

    def begin(self, judge: _Judge | None = None) -> Operation:
        """Begin an operation.

        `judge` is a tuple of the exception classes that are failures, or a function that says what an
        exception means: False is a failure, True a success, None no evidence, and "by_work" a failure
        that only work clears. Without it, every `Exception` is a failure.
        """

    def begin_refresh(self, judge: _Judge | None = None) -> Operation:
        """Begin a refresh, which is not an operation of the work. Without an answer within 5 s it fails.

        `judge` is as in `begin`.
        """

    def set_capacity(self, operations: int) -> None:
        """Say how many operations can be in flight in this process. 0 means unknown."""

    def wrap(self, function: _Function, judge: _Judge | None = None) -> _Function:
        """Return the function, with every call recorded. `judge` is as in `begin`."""

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
        """End it as a failure. The arguments are those of `record_fail`."""

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
) -> tuple[list[str], bool]:
    """Start health with `options` as in a configuration file. Variables in `environment` override them.

    `on_first_use` is called at the first recording in each process. If it returns false, the next
    recording calls it again. Without `in_this_process` it is called only in processes forked by this
    one: a master may run no Python afterwards.

    Return one message for each refused value and for what cannot start, and whether health has started.
    """

def attach() -> None:
    """Create this process's board now rather than at its first recording."""

def stamp() -> None:
    """Stamp `progress`."""

def take_notices() -> list[tuple[bool, str, tuple[str, str, str] | None]]:
    """Return the lines to log, each with whether it is a warning, and the change of status it reports."""

def trace(write: Callable[[int], None], package: str) -> None:
    """Record where the threads stand when this process hangs.

    `write` writes the stacks to a descriptor, `package` is this package's directory. Only the first
    call has an effect, in this process and in all that it forks.
    """

def end_trace() -> None:
    """Read no more frames, because the interpreter is about to end.

    Wait at most a second for threads that read them.
    """

def forked_in_c() -> None:
    """Tell the interpreter that C code has forked this process. Call this first, in its only thread.

    The interpreter then does what it does after a fork of its own, including the functions of
    `os.register_at_fork`. Without records of other threads it does nothing.
    """

def scrub(text: str) -> str:
    """Return the text of an exception as one line without secrets, safe to log."""

def verdict() -> tuple[bool, str, str] | None:
    """Return whether the service is available, why, and the states of its indicators; None without health.

    Start health where the first recording would.
    """

def drain_first_at_exit() -> None:
    """Drain at exit before the handlers run that are registered while the program is loaded.

    One of uWSGI ends the interpreter.
    """

def drain_as_it_exits() -> None:
    """Drain in a process that exits, unless it does so because the program has failed."""

def begin_to_end() -> None:
    """Say that this process begins to end, for whatever reason.

    Its exit shows whether it does so in good order; if it never comes to that, it counts as stopped.
    """

def drain() -> None:
    """Say that this process was told to end and is draining: still alive, no longer ready.

    It then ends in good order, whatever its exit status.
    """

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
    """Notice when a signal tells this process to end.

    Say goodbye if that ends it, and note it if the program handles it.
    """

def before_start(callback: Callable[[], bool]) -> None:
    """Call `callback` at the first recording in a process in which health has not started, until it has."""
