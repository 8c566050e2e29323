"""Runs first in a program that `healthboard-run` has started.

It removes itself from the path and the environment, so that helper programs inherit nothing. At the end it
runs the `sitecustomize` that it hides, if there is one.
"""

import os
import sys


def _clear_environment() -> dict[str, str]:
    """Remove healthboard's entries from the environment and the path. Return its variables."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if entry != here]
    rest = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry != here]
    if any(rest):
        os.environ["PYTHONPATH"] = os.pathsep.join(rest)
    else:
        os.environ.pop("PYTHONPATH", None)
    return {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("HEALTHBOARD_")}


def _install(environment: dict[str, str]) -> None:
    try:
        from healthboard import launch

        launch.begin(environment, _clear_environment)
    except Exception as error:
        sys.stderr.write(f"healthboard-run: the program runs without health: {error}\n")


def _run_hidden_sitecustomize() -> None:
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    _install(_clear_environment())
    _run_hidden_sitecustomize()
