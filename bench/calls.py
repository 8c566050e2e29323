"""What recording adds to a call: writes nanoseconds per call, one column for each subject, one line for each round."""

import functools
import json
import sys
import timeit

import healthboard
import prometheus_client
import wrapt
from opentelemetry.sdk.trace import TracerProvider

ROUNDS = 201
TURN = 0.001  # seconds
UNROLLED = 20  # calls in one turn of the loop, so that the loop itself hardly counts

healthboard.start("bench", {"uri": f"unix://{sys.argv[1]}/health.sock", "runtime_dir": sys.argv[1]})
checked = healthboard.healthcheck("database")
counted = prometheus_client.Counter("failures", "Failures.").count_exceptions()
tracer = TracerProvider(shutdown_on_exit=False).get_tracer("bench")
rows = {7: 1}


def empty():
    pass


def small(key):
    return rows.get(key, 0) + 1


def wraps(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@wrapt.decorator
def transparent(function, _instance, args, kwargs):
    return function(*args, **kwargs)


def span(function):
    return tracer.start_as_current_span("call")(function)


decorators = {
    "bare": lambda function: function,
    "healthboard": checked,
    "functools.partial": functools.partial,
    "functools.wraps": wraps,
    "wrapt": transparent,
    "prometheus_client": counted,
    "OpenTelemetry span": span,
}


class Bare:
    def small(self, key):
        return rows.get(key, 0) + 1


class Checked:
    small = checked(Bare.small)


class Wrapped:
    small = wraps(Bare.small)


subjects = {f"small, {name}": ("f(7)", decorate(small)) for name, decorate in decorators.items()}
subjects |= {f"empty, {name}": ("f()", decorate(empty)) for name, decorate in decorators.items()}
subjects |= {
    "method, bare": ("f.small(7)", Bare()),
    "method, healthboard": ("f.small(7)", Checked()),
    "method, functools.wraps": ("f.small(7)", Wrapped()),
}

timers = {}
for name, (call, function) in subjects.items():
    timer = timeit.Timer("; ".join([call] * UNROLLED), globals={"f": function})
    times = 1
    while timer.timeit(times) < TURN / 2:
        times *= 2
    timers[name] = timer, times

nanoseconds = {name: [] for name in subjects}
for _ in range(ROUNDS):
    for name, (timer, times) in timers.items():
        nanoseconds[name].append(timer.timeit(times) / times / UNROLLED * 1e9)

json.dump({"names": list(nanoseconds), "nanoseconds": list(nanoseconds.values())}, sys.stdout)
