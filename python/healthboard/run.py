"""The command `healthboard-run`."""

from __future__ import annotations

import os
import sys

from . import launch

USAGE = """\
usage: healthboard-run [--service NAME] PROGRAM [ARGUMENT…]

Runs a Python program, nova-conductor for one, that then tells its own health: at the endpoints which `uri` in
the group [healthcheck] of its configuration file names. Without that, it runs as ever.

  --service NAME   what the service is called, instead of the name of the program
  --version        print the version
  --help           print this

The program must run in the Python environment that healthboard is installed in.
"""

# What the shell and env(1) answer for a program that cannot be executed, and for one that is not there.
CANNOT_RUN, NOT_FOUND = 126, 127


def main() -> int:
    """Become the program. Return only if that cannot be."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["--help"]:
        print(USAGE, end="")
        return 0
    if arguments[:1] == ["--version"]:
        from ._native import __version__

        print(f"healthboard-run {__version__}")
        return 0
    if arguments[:1] == ["--service"]:
        os.environ["HEALTHBOARD_SERVICE"] = "".join(arguments[1:2])
        arguments = arguments[2:]
    if not arguments or arguments[0].startswith("-"):
        sys.stderr.write(USAGE)
        return 2
    launch.lead(os.environ)
    try:
        os.execvp(arguments[0], arguments)
    except OSError as error:
        sys.stderr.write(f"healthboard-run: cannot run `{arguments[0]}`: {error.strerror}\n")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
