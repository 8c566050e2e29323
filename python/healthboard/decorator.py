"""`healthcheck`: a decorator and a context manager."""

from __future__ import annotations

from contextvars import ContextVar

from ._native import Indicator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Any, Literal, TypeVar

    from ._native import Operation

    _Function = TypeVar("_Function", bound=Callable[..., Any])

# The blocks that enclose the current point in this thread, green thread or task, the innermost last.
_running: ContextVar[tuple[tuple[healthcheck, Operation], ...]] = ContextVar("healthboard", default=())


class healthcheck:
    """Record the outcome of a function's calls, or of a block.

        @healthcheck("database", errors=[OSError])
        def query(): ...

        with healthcheck("database"):
            ...

    An exception is a failure, and is raised again unchanged. With `errors`, only exceptions of these classes
    are failures; others are no evidence. A `BaseException` that is not an `Exception`, such as the
    cancellation of a coroutine, abandons the operation. A call of a coroutine function is in flight until its
    coroutine ends.

    `impact` is "critical", "degrading" or "informational". `ttl` is the number of seconds for which an
    outcome counts; 0 means without limit. The service's configuration overrides both. If several decorators
    name the same indicator, the arguments of the first one count.
    """

    def __init__(
        self,
        name: str,
        *,
        errors: Iterable[type[BaseException]] | None = None,
        impact: Literal["critical", "degrading", "informational"] | None = None,
        ttl: float | None = None,
    ) -> None:
        self._indicator = Indicator(name, impact=impact, ttl=ttl)
        self._errors = None if errors is None else tuple(errors)
        # The operations of blocks, for a block that ends in another context than it began in.
        self._open: dict[Operation, None] = {}
        for error in self._errors or ():
            if not (isinstance(error, type) and issubclass(error, BaseException)):
                raise TypeError(f"errors: expected exception classes, found {error!r}")

    def __call__(self, function: _Function) -> _Function:
        import inspect

        if isinstance(function, (staticmethod, classmethod, property)):
            raise TypeError(
                f"expected a function, found a {type(function).__name__}: put `@healthcheck` below it"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"expected a function or a coroutine function, found the generator function {function!r}"
            )
        if inspect.iscoroutinefunction(function):
            return _wrap_coroutine_function(self._indicator, self._errors, function)
        if _may_return_coroutine(function):
            return _wrap_function(self._indicator, self._errors, function)
        return self._indicator.wrap(function, self._errors)

    def __enter__(self) -> Operation:
        operation = self._indicator.begin(self._errors)
        self._open[operation] = None
        _running.set((*_open_blocks(), (self, operation)))
        return operation

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        running = _open_blocks()
        own = [block for block in running if block[0] is self]
        try:
            # A generator's steps may run in contexts of their own, as those of FastAPI's dependencies do.
            operation = own[-1][1] if own else self._open.popitem()[0]
        except KeyError:
            return
        self._open.pop(operation, None)
        _running.set(tuple(block for block in running if block[1] is not operation))
        operation.__exit__(kind, raised, traceback)

    async def __aenter__(self) -> Operation:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, raised, traceback)


def _open_blocks() -> tuple[tuple[healthcheck, Operation], ...]:
    """Return the blocks that enclose this point and have not ended elsewhere."""
    return tuple(block for block in _running.get() if block[1] in block[0]._open)


def _may_return_coroutine(function: Any) -> bool:
    import inspect

    try:
        inner = inspect.unwrap(function)
    except ValueError:
        # It has any attribute that one asks for.
        return False
    call = getattr(type(function), "__call__", None)  # noqa: B004
    return inspect.iscoroutinefunction(inner) or inspect.iscoroutinefunction(call)


def _wrap_coroutine_function(indicator: Indicator, errors: Any, function: _Function) -> _Function:
    import functools

    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with indicator.begin(errors):
            return await function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def _wrap_function(indicator: Indicator, errors: Any, function: _Function) -> _Function:
    """Wrap a function that may return a coroutine, as a wrapper of a coroutine function does."""
    import functools
    import inspect

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        operation = indicator.begin(errors)
        try:
            result = function(*args, **kwargs)
        except BaseException as raised:
            operation.__exit__(type(raised), raised, raised.__traceback__)
            raise
        if inspect.iscoroutine(result):
            return _follow(operation, result)
        if hasattr(type(result), "__await__"):
            # Its end is not seen.
            operation.end()
        else:
            operation.ok()
        return result

    return wrapper  # type: ignore[return-value]


async def _follow(operation: Operation, coroutine: Any) -> Any:
    with operation:
        return await coroutine
