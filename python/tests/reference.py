"""Writes docs/options.md from the code. Needs an environment in which healthboard is installed."""

from __future__ import annotations

import ast
import inspect
import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import healthboard
from healthboard import hooks
from healthboard.hooks.evidence import databases, http
from healthboard.middleware import requests
from healthboard.oslo import opts

COMMAND = "target/healthboard/venv/bin/python python/tests/reference.py"

PAGE = Path(__file__).parents[2] / "docs" / "options.md"

TEXT = """\
# Options and indicators

Generated from the code by `{COMMAND}`.

## For a service: `[healthcheck]`

Set these in the service's own oslo.config file or in the environment, which takes precedence. oslo.config's
own variables, such as `OS_HEALTHCHECK__TTL`, count as well: more than the file, and less than ours. A bad
value is named in the service's log, together with what was expected. The service starts with the default
instead, or, of a list for `/healthcheck`, with what is right.

{service}
## For `/healthcheck`

These are oslo.middleware's, in `[healthcheck]` as well. [healthcheck.md](healthcheck.md) says what differs.

{healthcheck}
## For an indicator: `[healthcheck:NAME]`

Set these for a single indicator. They override the indicator's own values, in the table below or in
code, and those override `[healthcheck]`. An own value that equals the option's default does not
count. `progress` is an exception: it ignores the policy in `[healthcheck]`.

{policy}
## Indicators

`healthboard-run` adds these to a service, each as soon as the service uses what it stands for. Times are in
seconds. An indicator without `refresh_interval` is never refreshed: it has only the evidence of the service's
own work. In nova-compute, which reaches the databases through nova-conductor, they are informational.

{indicators}"""

# The only indicator here that does not come from a hook.
PROGRESS = [
    "`progress`",
    "critical",
    "10",
    "",
    "",
    "Whether the interpreter, eventlet's hub or the event loop runs.",
]


def page() -> str:
    """Return the whole page."""
    head = ["option", "environment", "default", "expected", "meaning"]
    service = [option(each, "") for each in [*opts.SERVICE_OPTIONS, *opts.POLICY_OPTIONS]]
    healthcheck = [option(each, "") for each in opts.HEALTHCHECK_OPTIONS]
    policy = [option(each, "NAME.") for each in [*opts.POLICY_OPTIONS, opts.IMPACT]]
    found: dict[tuple[str, ...], list[str]] = {}
    modules = [import_module(f"{hooks.__name__}.evidence.{hook}") for hook in hooks.EVIDENCE]
    for module in [*modules, http, requests]:
        for name, *rest in indicators(module):
            found[tuple(rest)] = sorted({*found.get(tuple(rest), []), name})
    for name in ("api_database", "database", "database_SCHEMA"):
        rest = row(name, databases.indicator(name, is_async=False).policy, databases, is_refreshed=True)[1:]
        found[tuple(rest)] = [*found.get(tuple(rest), []), f"`{name}`"]
    kinds = ["indicator", "impact", "ttl", "stall_after", "refresh_interval", "evidence"]
    return TEXT.format(
        COMMAND=COMMAND,
        service=table([head, *service]),
        healthcheck=table([head, *healthcheck]),
        policy=table([head, *policy]),
        indicators=table([kinds, PROGRESS, *([", ".join(names), *rest] for rest, names in found.items())]),
    )


def option(each: Any, prefix: str) -> list[str]:
    """Return the row of an option."""
    name = prefix + each.name
    default = each.default
    if isinstance(default, bool):
        default = str(default).lower()
    elif isinstance(default, int | float):
        default = f"{default:g}"
    elif isinstance(default, list):
        default = ", ".join(default)
    # The parser's own error says what it expects, of a value that it does not take for the path of a file.
    problem = next(
        iter(healthboard.start("reference", {name: "?"}, environment={})), "expected paths of files"
    )
    choices = getattr(each.type, "choices", None) or {}
    meaning = [each.help, "; ".join(f"`{value}`: {text}" for value, text in choices.items())]
    return [
        f"`{each.name}`",
        f"`HEALTHBOARD_{name.replace('.', '__').upper()}`",
        f"`{default}`" if default and not prefix else "",
        problem.partition("expected ")[2].partition("; `?`")[0],
        " ".join(meaning).strip(),
    ]


def indicators(module: Any) -> Iterator[list[str]]:
    """Find the indicators of a hook by its calls of `Indicator`."""
    tree = ast.parse(inspect.getsource(module))
    for call in ast.walk(tree):
        if not (
            isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Indicator"
        ):
            continue
        # A hook takes the others from the service.
        literals = [keyword for keyword in call.keywords if isinstance(keyword.value, ast.Constant)]
        chosen: dict[Any, Any] = {keyword.arg: ast.literal_eval(keyword.value) for keyword in literals}
        is_taken = len(literals) < len(call.keywords)
        for name in names(tree, call.args[0], module):
            policy = healthboard.Indicator(name, **chosen).policy
            # Hooks do not refresh informational indicators.
            is_refreshed = hasattr(module, "register") and policy["impact"] != "informational"
            is_refreshed |= "refresh_interval" in chosen
            found = row(name, policy, module, is_refreshed=is_refreshed)
            yield [*found[:2], "3 intervals", *found[3:]] if is_taken else found


def row(name: str, policy: dict[str, Any], module: Any, *, is_refreshed: bool) -> list[str]:
    """Return the row of an indicator, with the first paragraph of its hook."""
    return [
        f"`{name}`",
        policy["impact"],
        f"{policy['ttl']:g}" if policy["ttl"] else "for ever",
        f"{policy['stall_after']:g}" if policy["stall_after"] else "never",
        f"{policy['refresh_interval']:g}" if is_refreshed else "",
        " ".join(inspect.getdoc(module).split("\n\n")[0].split()),
    ]


def names(tree: ast.AST, argument: ast.AST, module: Any) -> list[str]:
    """Return the possible values of an argument: those assigned to its variable, or all of `INDICATORS`."""
    if isinstance(argument, ast.Name):
        given = [
            node.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and argument.id in {getattr(to, "id", "") for to in node.targets}
        ]
        found = {text for value in given for text in names(tree, value, module)}
        return sorted(found or set(module.INDICATORS.values()))
    if isinstance(argument, ast.IfExp):
        return [*names(tree, argument.body, module), *names(tree, argument.orelse, module)]
    if isinstance(argument, ast.JoinedStr):
        parts = [getattr(part.value, "id", part.value) for part in argument.values]  # type: ignore[attr-defined]
        is_known = all(isinstance(part, str) for part in parts)
        return [f"{parts[0]}{parts[1].upper()}"] if is_known and len(parts) == 2 else []
    return [argument.value] if isinstance(getattr(argument, "value", None), str) else []


def table(rows: list[list[str]]) -> str:
    """Return the rows as a table. The first row is its head."""
    lines = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    # Options are refused here on purpose.
    logging.disable()
    PAGE.write_text(page())
