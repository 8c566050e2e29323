"""oslo.config: health starts as soon as the service has read its configuration."""

from __future__ import annotations

import functools

from .. import notices
from .patches import Patches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any


def _hook(cfg: ModuleType) -> None:
    def start_after(parse: Any) -> Any:
        @functools.wraps(parse)
        def __call__(self: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
            result = parse(self, *args, **kwargs)
            with notices.suppress_errors("configuration"):
                # Nova reads the files once before with an object of its own, to choose between eventlet and
                # native threads. That object has no project.
                if self is cfg.CONF or self.project:
                    from ..oslo import opts

                    opts.start(self)
            return result

        return __call__

    _patches.replace(cfg, "ConfigOpts.__call__", start_after)


_patches = Patches({"oslo_config.cfg": _hook})
install, uninstall = _patches.install, _patches.uninstall
