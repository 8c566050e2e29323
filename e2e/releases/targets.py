"""Prints as JSON what the hooks find in this environment: versions, and whether each hooked function exists.

The value is null for a module that does not exist.
"""

import importlib
import json
import logging
from importlib import metadata

from healthboard import hooks
from healthboard.hooks import patches

LIBRARIES = ("nova", "SQLAlchemy", "oslo.db", "oslo.messaging", "oslo.service", "eventlet")

found: dict[str, bool | None] = {}
replace = patches.Patches.replace


def record(self, module, path, wrap):
    before = len(self._replaced)
    replace(self, module, path, wrap)
    found[f"{module.__name__}:{path}"] = len(self._replaced) > before


logging.disable()
patches.Patches.replace = record
hooks.install()
for name in hooks.NAMES:
    for module in importlib.import_module(f"{hooks.__name__}.{name}")._patches._where:
        try:
            importlib.import_module(module)
        except Exception:
            found[f"{module}:"] = None
print(json.dumps({"versions": {name: metadata.version(name) for name in LIBRARIES}, "targets": found}))
