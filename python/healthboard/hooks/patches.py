"""The functions that one hook has replaced, so that they can be restored."""

from __future__ import annotations

import functools

from .. import imports, notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Patches:
    """The replacements of one hook. `where` maps each awaited module to the function that patches it."""

    def __init__(self, where: dict[str, Callable[[ModuleType], None]]) -> None:
        self._where = where
        self._replaced: list[tuple[Any, str, Any, Any]] = []
        self._is_installed = False

    def install(self) -> None:
        if self._is_installed:
            return
        self._is_installed = True
        for name, hook in self._where.items():
            imports.when_imported(name, hook)

    def uninstall(self) -> None:
        self._is_installed = False
        for hook in self._where.values():
            imports.cancel(hook)
        while self._replaced:
            owner, name, original, replacement = self._replaced.pop()
            # Another library may have wrapped it since.
            if vars(owner).get(name) is replacement:
                setattr(owner, name, original)

    def before(
        self, module: ModuleType, path: str, action: Callable[..., object], *, optional: bool = False
    ) -> None:
        """Call `action` with the arguments of the function at `path`, then the function."""
        self.around(module, path, lambda function: call_before(function, action), optional=optional)

    def after(
        self, module: ModuleType, path: str, action: Callable[..., object], *, optional: bool = False
    ) -> None:
        """Call the function at `path`, then `action` with its result and its arguments."""
        self.around(module, path, lambda function: call_after(function, action), optional=optional)

    def around(
        self, module: ModuleType, path: str, wrap: Callable[[Any], Any], *, optional: bool = False
    ) -> None:
        """Replace the function at `path` ("Class.method") in `module` by the result of `wrap`.

        A class that `module` has imported from elsewhere is left alone. A missing function is logged once,
        unless it is `optional` because some versions lack it.
        """
        *classes, name = path.split(".")
        owner: Any = module
        for part in classes:
            owner = vars(owner).get(part) if owner is not None else None
        if isinstance(owner, type) and owner.__module__ != module.__name__:
            return
        original = None if owner is None else vars(owner).get(name)
        if not callable(original):
            missing = (
                f"{module.__name__}: `{path}` is not a function in this version; its calls are not recorded"
            )
            if not optional:
                notices.warn_once(missing, missing)
            return
        replacement = wrap(original)
        setattr(owner, name, replacement)
        self._replaced.append((owner, name, original, replacement))


def call_before(function: Any, action: Callable[..., object]) -> Any:
    """Return a function that calls `action`, whose errors are suppressed, and then `function`."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with notices.suppress_errors(f"hook for {function.__module__}"):
            action(*args, **kwargs)
        return function(*args, **kwargs)

    return wrapper


def call_after(function: Any, action: Callable[..., object]) -> Any:
    """Return a function that calls `function`, and then `action`, whose errors are suppressed."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        with notices.suppress_errors(f"hook for {function.__module__}"):
            action(result, *args, **kwargs)
        return result

    return wrapper
