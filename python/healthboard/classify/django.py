"""Django: its own database backends

The driver's exception decides, which is its `__cause__`.
"""

from __future__ import annotations

from .finding import Entry, Follow, entries

CLASSES: dict[str, Entry] = entries("django.db.utils", Error=Follow("__cause__"))
