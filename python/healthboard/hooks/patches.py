"""The functions that one hook has replaced, so that they can be restored."""

from __future__ import annotations

from .. import imports, notices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Patches:
    """The replacements of one hook. `where` maps each module it waits for to the function that patches it."""

    def __init__(self, where: dict[str, Callable[[ModuleType], None]]) -> None:
        self._where = where
        self._replaced: list[tuple[Any, str, Any, Any]] = []

    def install(self) -> None:
        for name, hook in self._where.items():
            imports.when_imported(name, hook)

    def uninstall(self) -> None:
        for hook in self._where.values():
            imports.cancel(hook)
        while self._replaced:
            owner, name, original, replacement = self._replaced.pop()
            # Another library may have wrapped it since.
            if vars(owner).get(name) is replacement:
                setattr(owner, name, original)

    def replace(self, module: ModuleType, path: str, wrap: Callable[[Any], Any]) -> None:
        """Replace the function at `path` ("Class.method") in `module` by what `wrap` makes of it."""
        *classes, name = path.split(".")
        owner: Any = module
        for part in classes:
            owner = vars(owner).get(part) if owner is not None else None
        original = None if owner is None else vars(owner).get(name)
        if not callable(original):
            missing = (
                f"{module.__name__}: `{path}` is not a function in this version; its calls are not recorded"
            )
            notices.warn_once(missing, missing)
            return
        replacement = wrap(original)
        setattr(owner, name, replacement)
        self._replaced.append((owner, name, original, replacement))
