"""The part of the `sitecustomize` with which a test leaks the connections of a service.

Every place in the pools of the process is taken and not given back until another signal.
"""

import signal

_leaked = []


def _leak(*_):
    import _thread

    # A green thread under eventlet: a handler must not wait.
    _thread.start_new_thread(_take_all, ())


def _take_all():
    import gc

    from sqlalchemy.pool import QueuePool

    for pool in [found for found in gc.get_objects() if isinstance(found, QueuePool)]:
        while pool.checkedout() < pool.size() + pool._max_overflow:
            _leaked.append(pool.connect())


def _give_back(*_):
    import _thread

    _thread.start_new_thread(_close_all, ())


def _close_all():
    while _leaked:
        _leaked.pop().close()


signal.signal(signal.SIGRTMIN + 6, _leak)
signal.signal(signal.SIGRTMIN + 7, _give_back)
