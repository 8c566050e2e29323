"""The part of the `sitecustomize` with which a test leaks the connections of a service.

Every place in the pools of the process is taken and not given back until another signal.
"""

import signal

_leaked = []
_wanted_back = []


def _leak(*_):
    import _thread

    # A green thread under eventlet: a handler must not wait.
    _thread.start_new_thread(_take_all, ())


def _take_all():
    import contextlib
    import gc
    import time

    from sqlalchemy.exc import TimeoutError
    from sqlalchemy.pool import QueuePool

    pools = [found for found in gc.get_objects() if isinstance(found, QueuePool)]
    while not _wanted_back:
        for pool in pools:
            # Also what another thread had when we came.
            while pool.checkedout() < pool.size() + pool._max_overflow:
                with contextlib.suppress(TimeoutError):
                    _leaked.append(pool.connect())
        time.sleep(0.01)
    while _leaked:
        _leaked.pop().close()
    _wanted_back.clear()


def _give_back(*_):
    _wanted_back.append(True)


signal.signal(signal.SIGRTMIN + 6, _leak)
signal.signal(signal.SIGRTMIN + 7, _give_back)
