"""Detects why a program that `healthboard-run` is about to start would run without health."""

from __future__ import annotations

import os
import shutil
import sys

# Options that make Python ignore PYTHONPATH or run no `sitecustomize`.
_OBSTACLES = {"E": "ignores PYTHONPATH", "I": "ignores PYTHONPATH", "S": "runs no sitecustomize"}

# Options whose value is the rest of the argument, or the next one.
_WITH_VALUE = "WX"

# Options after which all arguments belong to the program.
_LAST = "cm"

# Programs that run Python, and programs that run any other program.
_PYTHON = ("python", "pypy", "uwsgi", "pyuwsgi", "mod_wsgi")
_WRAPPERS = (
    *("catchsegv", "chrt", "dumb-init", "env", "gosu", "ionice", "nice", "nohup", "numactl", "runuser"),
    *("setpriv", "setsid", "stdbuf", "strace", "su", "sudo", "taskset", "time", "timeout", "tini", "unshare"),
)
_SHELLS = ("ash", "bash", "dash", "ksh", "sh", "zsh")

# Byte strings that occur in a program that embeds Python.
_EMBEDS_PYTHON = (b"libpython", b"Py_Initialize", b"Py_BytesMain")


def obstacle(arguments: list[str]) -> str | None:
    """Return why this command would run without health, or None. Reads the program's file."""
    path = shutil.which(arguments[0])
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            head = file.read(256)
            if not head.startswith(b"#!"):
                return _of_binary(arguments, path, head + file.read())
    except OSError:
        return None
    line = head[2:].partition(b"\n")[0].decode(errors="replace").split()
    if line and os.path.basename(line[0]) == "env":
        line = [word for word in line[1:] if not word.startswith("-") and "=" not in word] + [
            word for word in line[2:] if word.startswith("-") and word != "-S"
        ]
    name = os.path.basename(line[0]) if line else ""
    if name.startswith(_PYTHON):
        return _of_options(line[1:], f"the first line of {path}")
    return None if name in _SHELLS or not name else f"{path} is a program for {name}, and not for Python"


def _of_binary(arguments: list[str], path: str, content: bytes) -> str | None:
    name = os.path.basename(path)
    if name.startswith(("python", "pypy")) or os.path.samefile(path, sys.executable):
        return _of_options(arguments[1:], "the command")
    if (
        name.startswith(_PYTHON)
        or name in (*_WRAPPERS, *_SHELLS)
        or any(mark in content for mark in _EMBEDS_PYTHON)
    ):
        return None
    return f"{path} is not a Python program"


def _of_options(options: list[str], where: str) -> str | None:
    given = iter(options)
    for option in given:
        if not option.startswith("-") or option in ("-", "--"):
            break
        for index, letter in enumerate(option[1:], 1):
            if letter == "-":
                # A long option.
                break
            if letter in _OBSTACLES:
                return f"`{option}` in {where}: with -{letter} Python {_OBSTACLES[letter]}"
            if letter in _LAST:
                return None
            if letter in _WITH_VALUE:
                if not option[index + 1 :]:
                    next(given, None)
                break
    return None
