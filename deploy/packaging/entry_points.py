"""Writes the entry points of a pyproject.toml as importlib.metadata reads them."""

import sys
import tomllib

project = tomllib.load(sys.stdin.buffer)["project"]
for group, entries in {"console_scripts": project["scripts"], **project["entry-points"]}.items():
    print(f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()), "", sep="\n")
