"""The command `healthboard-run`."""

from __future__ import annotations

import os
import sys

from . import launch, obstacles

USAGE = """\
usage: healthboard-run [--service NAME] PROGRAM [ARGUMENT…]

Runs a Python program, such as nova-conductor, that then reports its own health. It answers at the endpoints
named by `uri` in the group [healthcheck] of its oslo.config file, or by HEALTHBOARD_URI in the environment.
Without endpoints it runs as usual.

  --service NAME   the name of the service; the default is the name of the program. What uWSGI, gunicorn,
                   uvicorn and the like run has the name of its application: shop-api for shop.wsgi.api
  --version        print the version
  --help           print this

The program must run in the Python environment that healthboard is installed in.
"""

# The exit statuses of the shell and of env(1) for a program that cannot be executed or does not exist.
CANNOT_RUN, NOT_FOUND = 126, 127


def main() -> int:
    """Execute the program. Return only on failure."""
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
        found = f"found `{arguments[0]}`" if arguments else "found no program"
        sys.stderr.write(f"healthboard-run: {found}, expected [--service NAME] PROGRAM\n\n{USAGE}")
        return 2
    obstacle = obstacles.obstacle(arguments)
    if obstacle is not None:
        sys.stderr.write(f"healthboard-run: the program runs without health: {obstacle}\n")
    launch.prepend_site(os.environ)
    try:
        os.execvp(arguments[0], arguments)
    except OSError as error:
        sys.stderr.write(f"healthboard-run: cannot run `{arguments[0]}`: {error.strerror}\n")
        return NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
