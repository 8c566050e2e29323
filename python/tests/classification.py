"""Writes docs/classification.md from the tables. Needs an environment in which healthboard is installed."""

from __future__ import annotations

import errno
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reference import table

from healthboard.classify import TABLES
from healthboard.classify.finding import Finding, Follow

COMMAND = "target/healthboard/venv/bin/python python/tests/classification.py"

PAGE = Path(__file__).parents[2] / "docs" / "classification.md"

# Of the tables whose name does not end in a mere `s`.
HEADS = {"STATUSES": "status"}

TEXT = """\
# What an exception means

Generated from the code by `{COMMAND}`.

Not every exception is a failure of what a service needs. For each exception that they list, these tables say
whether it means

- **unavailable**: the thing has failed, or refuses to work for this service. It is recorded as a failure.
- **answered**: it comes from a thing that works. It is recorded as a success.
- **unknown**: it says neither, and is no evidence.

An exception that is in no table is unknown. A class is known by its module and name. One that is derived from
it means the same. Where the last column says *work*, the small query of a refresh does not notice that the
failure is over: only the service's own work does.

{tables}"""


def page() -> str:
    """Return the whole page."""
    return TEXT.format(COMMAND=COMMAND, tables="\n".join(section(module) for module in TABLES))


def section(module: Any) -> str:
    """Return the section of one family of libraries."""
    title, _, about = (inspect.getdoc(module) or "").partition("\n\n")
    parts = [f"## {title}\n", f"{about}\n" if about else ""]
    kinds = [[f"`{name.removeprefix('builtins.')}`", *row(entry)] for name, entry in module.CLASSES.items()]
    parts.append(table([["class", "means", "because", "cleared by"], *merged(kinds)]))
    for name, rules in rule_tables(module):
        mark = "" if name == "case" else "`"
        rows = [
            [", ".join(f"{mark}{shown(module, key)}{mark}" for key in keys), *row(found)]
            for found, keys in rules
        ]
        parts.append(table([[name, "means", "because", "cleared by"], *rows]))
    return "\n".join(part for part in parts if part)


def rule_tables(module: Any) -> Iterator[tuple[str, Any]]:
    """Find the tables of codes: each a tuple of rules."""
    for name, value in vars(module).items():
        is_rules = isinstance(value, tuple) and value and isinstance(value[0], tuple)
        if name.isupper() and is_rules and isinstance(value[0][0], Finding):
            yield HEADS.get(name, name.lower()[:-1]), value


def row(entry: Any) -> list[str]:
    """Return the cells of an entry."""
    if isinstance(entry, Finding):
        return [entry.meaning.value, entry.why, "work" if entry.by_work else ""]
    if isinstance(entry, Follow):
        below = f"as the exception in `{entry.attribute}`"
        if entry.otherwise is None:
            return ["", below, ""]
        meaning, why, cleared = row(entry.otherwise)
        return [meaning, f"{below}; otherwise: {why[:1].lower()}{why[1:]}", cleared]
    return ["", (inspect.getdoc(entry) or "").rstrip("."), ""]


def merged(rows: list[list[str]]) -> list[list[str]]:
    """Put the classes of one meaning into one row."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, *rest in rows:
        found.setdefault(tuple(rest), []).append(name)
    return [[", ".join(names), *rest] for rest, names in found.items()]


def shown(module: Any, key: object) -> str:
    """Return a key as people know it."""
    return errno.errorcode[key] if module.__name__.endswith("system") and isinstance(key, int) else str(key)


if __name__ == "__main__":
    PAGE.write_text(page())
