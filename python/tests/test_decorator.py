"""The decorator, the context manager and the recording functions, as a user sees them."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import functools
import gc
import inspect
import pickle
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from healthboard import Indicator, healthcheck, record_fail, record_ok

Evidence = Callable[[str], dict[str, Any]]


@healthcheck("function")
def double(number: int, *, plus: int = 0) -> int:
    """Double a number."""
    return 2 * number + plus


class Shop:
    @healthcheck("method")
    def sell(self, what: str) -> tuple[Shop, str]:
        return self, what

    @classmethod
    @healthcheck("method")
    def open(cls) -> type[Shop]:
        return cls

    @staticmethod
    @healthcheck("method")
    def hours() -> int:
        return 8


def test_a_call_returns_what_the_function_returns_and_is_a_success(evidence: Evidence) -> None:
    assert double(2, plus=1) == 5
    assert double(*(3,), plus=1) == 7
    assert evidence("function")["state"] == "passing"


def test_an_exception_is_a_failure_and_is_raised_again_as_it_was(evidence: Evidence) -> None:
    error = ConnectionRefusedError(111, "refused")

    @healthcheck("raises")
    def call() -> None:
        raise error

    with pytest.raises(ConnectionRefusedError) as caught:
        call()
    assert caught.value is error
    assert error.__cause__ is None
    assert error.__context__ is None
    assert [frame.name for frame in traceback.extract_tb(error.__traceback__)][-1] == "call"
    assert evidence("raises")["state"] == "transient"
    assert evidence("raises")["error"] == "ConnectionRefusedError 111: [Errno 111] refused"


def test_an_exception_raised_while_another_is_handled_keeps_its_context() -> None:
    @healthcheck("raises")
    def call() -> None:
        raise KeyError("second")

    def handle() -> None:
        try:
            raise ValueError("first")
        except ValueError:
            call()

    with pytest.raises(KeyError) as caught:
        handle()
    assert isinstance(caught.value.__context__, ValueError)


def test_with_errors_only_exceptions_of_these_classes_are_failures(evidence: Evidence) -> None:
    @healthcheck("only", errors=[OSError])
    def call(error: Exception) -> None:
        raise error

    with pytest.raises(KeyError):
        call(KeyError())
    assert evidence("only")["state"] == "unknown"
    with pytest.raises(FileNotFoundError):
        call(FileNotFoundError())
    assert evidence("only")["failures"] == 1


@pytest.mark.parametrize("end", [GeneratorExit, KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_a_base_exception_that_is_no_exception_is_no_evidence(
    end: type[BaseException], evidence: Evidence
) -> None:
    @healthcheck("ends")
    def call() -> None:
        raise end

    with pytest.raises(end):
        call()
    assert evidence("ends")["state"] == "unknown"
    assert evidence("ends")["in_flight"] == 0


def test_an_operation_is_in_flight_until_it_ends(evidence: Evidence) -> None:
    @healthcheck("flying")
    def call() -> int:
        return int(evidence("flying")["in_flight"])

    assert call() == 1
    assert evidence("flying")["in_flight"] == 0


def test_methods_bind_like_plain_functions() -> None:
    shop = Shop()
    assert shop.sell("tea") == (shop, "tea")
    assert Shop.sell(shop, "tea") == (shop, "tea")
    bound = shop.sell
    assert bound("tea") == (shop, "tea")
    assert bound.__self__ is shop
    assert bound == shop.sell
    assert Shop.open() is Shop
    assert shop.open() is Shop
    assert Shop.hours() == shop.hours() == 8


def test_a_subclass_calls_it_through_super() -> None:
    class Branch(Shop):
        def sell(self, what: str) -> tuple[Shop, str]:
            return super().sell(what)

    branch = Branch()
    assert branch.sell("tea") == (branch, "tea")


def test_it_looks_like_the_function() -> None:
    assert double.__name__ == "double"
    assert double.__doc__ == "Double a number."
    assert double.__module__ == __name__
    assert str(inspect.signature(double)) == "(number: 'int', *, plus: 'int' = 0) -> 'int'"
    assert inspect.isroutine(double)
    assert callable(double)
    assert "double" in repr(double)
    assert double.__wrapped__(1) == 2  # type: ignore[attr-defined]
    double.note = "mine"  # type: ignore[attr-defined]
    assert vars(double)["note"] == "mine"


def test_it_is_pickled_and_copied_by_name() -> None:
    assert pickle.loads(pickle.dumps(double)) is double
    assert pickle.loads(pickle.dumps(Shop.sell)) is Shop.sell
    assert copy.deepcopy(double) is double


def test_a_call_with_wrong_arguments_raises_the_usual_type_error() -> None:
    with pytest.raises(TypeError, match="double"):
        double()  # type: ignore[call-arg]


def test_it_can_be_stacked_and_partially_applied() -> None:
    assert healthcheck("function")(healthcheck("method")(double))(4) == 8
    assert functools.partial(double, 4)() == 8


def test_cycles_through_it_are_collected() -> None:
    class Owner:
        pass

    owner = Owner()
    owner.call = healthcheck("function")(functools.partial(getattr, owner, "x", None))  # type: ignore[attr-defined]
    gone = weakref.ref(owner)
    call_gone = weakref.ref(owner.call)  # type: ignore[attr-defined]
    del owner
    gc.collect()
    assert gone() is None
    assert call_gone() is None


def test_calls_and_failures_leak_nothing() -> None:
    @healthcheck("leaks")
    def fail(argument: object) -> None:
        raise OSError(5, "five")

    argument = object()
    before = sys.getrefcount(argument), sys.getrefcount(OSError)
    for _ in range(1000):
        with pytest.raises(OSError, match="five"):
            fail(argument)
        double(1)
    assert (sys.getrefcount(argument), sys.getrefcount(OSError)) == before


@pytest.mark.parametrize("bad", ["text", 5, None])
def test_an_object_that_is_not_callable_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        healthcheck("function")(bad)


def test_a_generator_function_is_refused_because_its_body_runs_later() -> None:
    with pytest.raises(TypeError, match="generator"):

        @healthcheck("function")
        def numbers() -> Any:
            yield 1


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="exception classes"):
        healthcheck("function", errors=["OSError"])  # type: ignore[list-item]
    with pytest.raises(
        ValueError, match="impact: found `grave`, expected informational, degrading or critical"
    ):
        healthcheck("function", impact="grave")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="ttl: found `-1`, expected seconds"):
        healthcheck("function", ttl=-1)


def test_a_coroutine_function_stays_one_and_is_recorded_at_its_end(evidence: Evidence) -> None:
    @healthcheck("coroutine")
    async def call(fail: bool) -> int:
        await asyncio.sleep(0)
        assert evidence("coroutine")["in_flight"] == 1
        if fail:
            raise TimeoutError
        return 7

    assert inspect.iscoroutinefunction(call)
    waiting = call(False)
    assert evidence("coroutine")["in_flight"] == 0
    assert asyncio.run(waiting) == 7
    assert evidence("coroutine")["state"] == "passing"
    with pytest.raises(TimeoutError):
        asyncio.run(call(True))
    assert evidence("coroutine")["error"] == "TimeoutError"


def test_a_cancelled_coroutine_is_no_evidence(evidence: Evidence) -> None:
    @healthcheck("cancelled")
    async def call() -> None:
        await asyncio.sleep(60)

    async def cancel() -> None:
        task = asyncio.create_task(call())
        await asyncio.sleep(0)
        assert evidence("cancelled")["in_flight"] == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel())
    assert evidence("cancelled")["state"] == "unknown"
    assert evidence("cancelled")["in_flight"] == 0


def test_a_block_is_an_operation(evidence: Evidence) -> None:
    check = healthcheck("block", errors=[OSError])
    with check, check:
        assert evidence("block")["in_flight"] == 2
    assert evidence("block")["state"] == "passing"
    with pytest.raises(OSError, match="gone"), check:
        raise OSError("gone")
    assert evidence("block")["failures"] == 1
    with pytest.raises(KeyError), check:
        raise KeyError
    assert evidence("block")["failures"] == 1
    assert evidence("block")["in_flight"] == 0


def test_a_block_can_end_its_operation_itself(evidence: Evidence) -> None:
    with healthcheck("block") as operation:
        operation.fail("QuotaExceeded", code="17")
    assert evidence("block")["error"] == "QuotaExceeded 17"


def test_an_async_block_is_an_operation(evidence: Evidence) -> None:
    async def call() -> None:
        async with healthcheck("async_block"):
            await asyncio.sleep(0)

    asyncio.run(call())
    assert evidence("async_block")["state"] == "passing"


def test_a_block_that_two_threads_share_ends_the_operation_of_each(evidence: Evidence) -> None:
    shared = healthcheck("shared_block")
    inside, first, second = threading.Barrier(3), threading.Event(), threading.Event()

    def work(may_end: threading.Event, error: BaseException | None) -> None:
        with contextlib.suppress(OSError), shared:
            inside.wait(10)
            may_end.wait(10)
            if error is not None:
                raise error

    # The one that has entered last may end first.
    threads = [
        threading.Thread(target=work, args=(first, OSError(5, "five"))),
        threading.Thread(target=work, args=(second, None)),
    ]
    for thread in threads:
        thread.start()
    inside.wait(10)
    assert evidence("shared_block")["in_flight"] == 2
    first.set()
    threads[0].join()
    assert evidence("shared_block")["in_flight"] == 1
    assert evidence("shared_block")["error"] == "OSError 5: [Errno 5] five"
    second.set()
    threads[1].join()
    assert evidence("shared_block")["in_flight"] == 0
    assert evidence("shared_block")["state"] == "passing"


def test_outcomes_can_be_recorded_by_name(evidence: Evidence) -> None:
    record_ok("named")
    assert evidence("named")["state"] == "passing"
    record_fail("named", OSError)
    assert evidence("named")["error"] == "OSError"
    record_fail("named", "Quota", "17", "too much")
    assert evidence("named")["error"] == "Quota 17: too much"
    assert evidence("named")["failures"] == 2


def test_a_dropped_operation_is_no_evidence(evidence: Evidence) -> None:
    indicator = Indicator("forgotten", impact="degrading", ttl=5)
    operation = indicator.begin()
    assert evidence("forgotten")["in_flight"] == 1
    del operation
    assert evidence("forgotten")["in_flight"] == 0
    assert evidence("forgotten")["state"] == "unknown"
    assert evidence("forgotten")["impact"] == "degrading"


class HostileError(Exception):
    """Raises on every access."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("no attribute")


def test_an_exception_that_cannot_be_inspected_is_still_recorded(evidence: Evidence) -> None:
    @healthcheck("hostile")
    def call() -> None:
        raise HostileError

    with pytest.raises(HostileError):
        call()
    assert evidence("hostile")["error"] == "HostileError"


def test_a_judge_that_raises_is_no_evidence_and_the_host_survives(evidence: Evidence) -> None:
    def judge(raised: BaseException) -> bool:
        raise RuntimeError("judge")

    call = Indicator("judge_that_raises").wrap(int, judge)
    with pytest.raises(ValueError, match="invalid literal"):
        call("x")
    assert evidence("judge_that_raises")["state"] == "unknown"


@pytest.mark.parametrize(("says", "state"), [(True, "passing"), (False, "transient"), (None, "unknown")])
def test_a_judge_decides(says: bool | None, state: str, evidence: Evidence) -> None:
    call = Indicator(f"judge_{says}").wrap(int, lambda raised: says)
    with pytest.raises(ValueError, match="invalid literal"):
        call("x")
    assert evidence(f"judge_{says}")["state"] == state


def test_deep_recursion_raises_the_usual_recursion_error() -> None:
    @healthcheck("function")
    def deeper() -> None:
        deeper()

    with pytest.raises(RecursionError):
        deeper()


def test_a_block_may_end_in_another_context_than_it_began_in(evidence: Evidence) -> None:
    @contextlib.contextmanager
    def dependency() -> Iterator[None]:
        with healthcheck("other_context"):
            yield

    def use(raises: bool) -> None:
        block = dependency()
        contextvars.copy_context().run(block.__enter__)
        assert evidence("other_context")["in_flight"] == 1
        gone = ConnectionError("gone")
        end = (type(gone), gone, None) if raises else (None, None, None)
        with contextlib.suppress(ConnectionError):
            contextvars.copy_context().run(block.__exit__, *end)

    use(raises=True)
    assert evidence("other_context")["failures"] == 1
    use(raises=False)
    assert evidence("other_context") == {**evidence("other_context"), "failures": 0, "in_flight": 0}


def test_a_shared_block_that_ends_elsewhere_takes_no_failure_from_another_one(evidence: Evidence) -> None:
    shared = healthcheck("shared_block")
    contexts = [contextvars.copy_context() for _ in range(3)]
    for context in contexts[:2]:
        context.run(shared.__enter__)
    contexts[2].run(shared.__exit__, None, None, None)
    gone = ConnectionError("gone")
    contexts[1].run(shared.__exit__, type(gone), gone, None)
    assert evidence("shared_block") == {**evidence("shared_block"), "failures": 1, "in_flight": 0}
    # Nothing of them stays in the contexts in which they began.
    for context in contexts[:2]:
        with context.run(lambda: healthcheck("another_block")):
            pass
        context.run(lambda: shared.__exit__(None, None, None))
    assert evidence("shared_block")["failures"] == 1


def test_what_cannot_be_unwrapped_is_wrapped(evidence: Evidence) -> None:
    class Proxy:
        def __getattr__(self, name: str) -> Proxy:
            return self

        def __call__(self) -> int:
            return 7

    assert healthcheck("proxy")(Proxy())() == 7
    assert evidence("proxy")["state"] == "passing"


def test_an_awaitable_whose_end_is_not_seen_is_no_evidence(evidence: Evidence) -> None:
    async def query() -> None:
        raise ConnectionError("gone")

    @healthcheck("future")
    @functools.wraps(query)
    def begin() -> asyncio.Future[None]:
        return asyncio.ensure_future(query())

    async def run() -> None:
        with contextlib.suppress(ConnectionError):
            await begin()

    asyncio.run(run())
    assert evidence("future")["state"] == "unknown"


def test_a_coroutine_function_behind_another_decorator_is_recorded_at_its_end(evidence: Evidence) -> None:
    def plain(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    @healthcheck("behind")
    @plain
    async def query(fails: bool) -> int:
        if fails:
            raise ConnectionError("gone")
        return 7

    class Caller:
        async def __call__(self) -> None:
            raise ConnectionError("gone")

    for call in (lambda: query(True), healthcheck("behind")(Caller())):
        with pytest.raises(ConnectionError):
            asyncio.run(call())
    assert evidence("behind")["failures"] == 2
    assert asyncio.run(query(False)) == 7
    assert evidence("behind")["failures"] == 0

    @healthcheck("behind")
    @plain
    @functools.wraps(query)
    def waits() -> int:
        return 7

    assert waits() == 7


@pytest.mark.parametrize("kind", [staticmethod, classmethod, property])
def test_what_is_no_function_yet_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=f"found a {kind.__name__}: put `@healthcheck` below it"):
        healthcheck("method")(kind(len))


def test_a_text_in_place_of_a_name_or_a_code_is_not_shown(evidence: Evidence) -> None:
    record_fail("texts", "login failed: password=hunter2")
    assert evidence("texts")["error"].startswith("Error: login failed")
    record_fail("texts", OSError(), "password=hunter2")
    assert evidence("texts")["error"] == "OSError"
    record_fail("texts", "LoginFailed", "08S01")
    assert evidence("texts")["error"] == "LoginFailed 08S01"
