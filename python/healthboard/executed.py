"""Hooks that run right after a server in C has executed a file as a module.

Such servers compile the file themselves and call `PyImport_ExecCodeModule`, which bypasses import hooks. But
that calls `importlib._bootstrap_external._fix_up_module` right before the code runs. There a trace function
is set. It waits for the event at the start of the code, and removes itself. Servers drop the code object
after it has run and before they look for the application. The end of the code object calls the hook.
"""

from __future__ import annotations

import functools
import sys
import weakref

from . import notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    _Hook = Callable[[dict[str, Any]], None]

_hooks: dict[str, _Hook] = {}

# References to code objects that are running, or that are still referenced, for instance by a traceback.
_running: set[weakref.ref[Any]] = set()

_original: Any = None


def when_executed(prefix: str, hook: _Hook) -> None:
    """Call `hook` with the namespace of each file that is executed as a module whose name has this prefix."""
    global _original
    _hooks[prefix] = hook
    if _original is None:
        from importlib import _bootstrap_external as importlib

        _original = importlib._fix_up_module  # type: ignore[attr-defined]
        importlib._fix_up_module = functools.wraps(_original)(_fix_up_module)  # type: ignore[attr-defined]


def cancel(prefix: str) -> None:
    """Undo `when_executed`."""
    global _original
    _hooks.pop(prefix, None)
    if not _hooks and _original is not None:
        from importlib import _bootstrap_external as importlib

        importlib._fix_up_module = _original  # type: ignore[attr-defined]
        _original = None


def _fix_up_module(namespace: dict[str, Any], name: str, *args: Any) -> None:
    _original(namespace, name, *args)
    for prefix, hook in _hooks.items():
        if name.startswith(prefix):
            _call_after_next_code(namespace, hook)


def _call_after_next_code(namespace: dict[str, Any], hook: _Hook) -> None:
    previous = sys.gettrace()

    def has_ended(reference: weakref.ref[Any]) -> None:
        _running.discard(reference)
        with notices.suppress_errors("hook for an executed file"):
            hook(namespace)

    def trace(frame: Any, event: Any, argument: Any) -> Any:
        sys.settrace(previous)
        if frame.f_globals is namespace:
            _running.add(weakref.ref(frame.f_code, has_ended))
        return previous(frame, event, argument) if previous is not None else None

    sys.settrace(trace)
