"""For the tests of the classification: take an error as it comes, and say what it means."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from healthboard.classify import Meaning, classify

UNAVAILABLE, ANSWERED, UNKNOWN = Meaning


def error(work: Callable[..., Any], *arguments: Any, **named: Any) -> BaseException:
    """Do something that must fail, and return its exception."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        work(*arguments, **named)
    return caught.value


def means(raised: BaseException) -> Meaning:
    """Return what an exception means. The output of a test that fails shows all of it."""
    finding = classify(raised)
    print(f"{type(raised).__module__}.{type(raised).__qualname__}: {raised!r}\n  {finding}")
    return finding.meaning


def fill(disk: Path) -> Path:
    """Leave nothing of a disk, and return the file that takes it all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    return filler


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of its own, which is soon full. Needs root."""
    assert os.geteuid() == 0, "the tests of a full disk mount one\nnext: run them as root"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
