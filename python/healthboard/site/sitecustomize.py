"""Runs in a program that `healthboard-run` has started, before anything of that program.

First it makes itself invisible, so that no helper which the program starts inherits anything. Last it gives
way to the `sitecustomize` that it hides, if there is one.
"""

import os
import sys


def _leave() -> dict[str, str]:
    """Take all that is ours out of the environment and the path; return our variables."""
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

        launch.begin(environment, _leave)
    except Exception as error:
        sys.stderr.write(f"healthboard-run: the program runs without health: {error}\n")


def _give_way() -> None:
    from importlib.machinery import PathFinder
    from importlib.util import module_from_spec

    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


if __name__ == "sitecustomize":
    _install(_leave())
    _give_way()
