"""Hooks that run right after a module has been imported for the first time."""

from __future__ import annotations

import sys

from . import notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    _Hook = Callable[[ModuleType], None]

_hooks: dict[str, list[_Hook]] = {}

# Modules that a program in C puts into `sys.modules`. Their hooks run at the next import of another module.
_ADDED_BY_HOSTS = ("uwsgi",)


def when_imported(name: str, hook: _Hook) -> None:
    """Call `hook` with the module `name`: now if it has been imported, otherwise right after its import.

    An exception of the hook is logged and does not affect the import.
    """
    if name in sys.modules:
        _run(hook, sys.modules[name])
        return
    _hooks.setdefault(name, []).append(hook)
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def cancel(hook: _Hook) -> None:
    """Undo `when_imported` for a hook that has not run."""
    for name, hooks in list(_hooks.items()):
        if hook in hooks:
            hooks.remove(hook)
        if not hooks:
            del _hooks[name]
    if not _hooks and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)


class _Finder:
    """Finds a module through the finders after it, and wraps the loader so that it runs the hooks."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        for added in _ADDED_BY_HOSTS:
            # This module is never imported: its host puts it there before it imports anything else.
            if added in _hooks and added in sys.modules:
                for hook in _hooks.pop(added):
                    _run(hook, sys.modules[added])
        if name not in _hooks:
            return None
        behind = sys.meta_path[sys.meta_path.index(self) + 1 :] if self in sys.meta_path else []
        for finder in behind:
            spec = finder.find_spec(name, path, target) if hasattr(finder, "find_spec") else None
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    spec.loader = _Loader(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _Loader:
    """Runs the hooks after the module. The module itself sees only the original loader."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        # This is for callers that find the module without importing it.
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)  # type: ignore[no-any-return]

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        for hook in _hooks.pop(module.__name__, []):
            _run(hook, module)


_finder: Any = _Finder()


def _run(hook: _Hook, module: ModuleType) -> None:
    # A program may have put any object into `sys.modules`.
    name = getattr(module, "__name__", type(module).__name__)
    with notices.suppress_errors(f"hook for {name}"):
        hook(module)
