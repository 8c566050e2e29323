"""SQLAlchemy: every statement is evidence for `database`.

The operations of an engine's dialect are recorded, not SQLAlchemy's events: they begin and end in one place,
so that a hang in any of them is seen, they raise what the driver raised, and they see the attempts of an
engine that never came up.
"""

from __future__ import annotations

import functools
import sys
import weakref

from .. import Indicator, notices
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any

# Evidence either way.
STATEMENTS = ("do_execute", "do_executemany", "do_execute_no_params")

# Their success proves nothing that the next statement does not: SQLite connects to a file that is gone, and
# commits nothing. But a failure is one, and a hang is one.
AROUND = ("connect", "do_commit", "_do_ping_w_event")

# Exceptions of every driver (PEP 249) by which the database says that it is there and does not like the
# statement.
ANSWERS = {"DataError", "IntegrityError", "NotSupportedError", "ProgrammingError"}

# MySQL: lock wait timeout, deadlock. PostgreSQL: serialization failure, deadlock, lock not available.
ANSWER_CODES = {1205, 1213, "40001", "40P01", "55P03"}

DATABASE = Indicator("database")

_dialects: weakref.WeakSet[Any] = weakref.WeakSet()


def judge(raised: BaseException) -> bool | None:
    """Tell what a driver's exception says of the database: False that it failed, True that it answered."""
    classes = {kind.__name__ for kind in type(raised).__mro__}
    code = raised.args[0] if raised.args else None
    state = getattr(raised, "sqlstate", None) or getattr(raised, "pgcode", None)
    if classes & ANSWERS or code in ANSWER_CODES or state in ANSWER_CODES or code == "database is locked":
        return True
    return False if "Error" in classes or isinstance(raised, OSError) else None


def watch(dialect: Any) -> None:
    """Record what this dialect does from now on."""
    if dialect in _dialects:
        return
    _dialects.add(dialect)
    for name in STATEMENTS:
        # On the dialect and not on its class: whichever class of a driver defines it.
        setattr(dialect, name, DATABASE.wrap(getattr(dialect, name), judge))
    for name in AROUND:
        # The ping is SQLAlchemy's own, and not there in all versions.
        if hasattr(dialect, name):
            setattr(dialect, name, _in_flight(getattr(dialect, name)))


def _in_flight(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with DATABASE.begin(judge) as operation:
            result = function(*args, **kwargs)
            operation.end()
        return result

    return wrapper


def _watch(dialect: Any, *_: Any) -> None:
    # Before the first connection of each engine, and before `connect` is looked up.
    with notices.swallowed("hook for sqlalchemy"):
        watch(dialect)


def _hook(sqlalchemy: ModuleType) -> None:
    from sqlalchemy import engine, event

    event.listen(engine.Engine, "do_connect", _watch)


_patches = Patches({"sqlalchemy": _hook})
install = _patches.install


def uninstall() -> None:
    _patches.uninstall()
    if "sqlalchemy" in sys.modules:
        from sqlalchemy import engine, event

        if event.contains(engine.Engine, "do_connect", _watch):
            event.remove(engine.Engine, "do_connect", _watch)
    for dialect in list(_dialects):
        for name in (*STATEMENTS, *AROUND):
            vars(dialect).pop(name, None)
    _dialects.clear()
