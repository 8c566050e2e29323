"""Where the threads of this process stand, written when the process hangs: files, lines, functions."""

from __future__ import annotations

import gc
import os
import sys

# eventlet replaces functions of `os`.
from posix import write as _write

from . import _native

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# At most so many green threads, and frames of each: what `faulthandler` writes of native ones.
_MAX_GREEN_THREADS = 100
_MAX_FRAMES = 100


def start() -> None:
    """From now on the keeper asks where the threads stand when this process hangs."""
    _native.trace(write, os.path.dirname(os.path.abspath(__file__)))


def write(descriptor: int) -> None:
    """Write the stacks of all threads as `faulthandler` does, the green ones included.

    Runs in a native thread that the interpreter has never seen before.
    """
    # The oldest thread comes last.
    frames, own = sys._current_frames().values(), sys._getframe()
    stacks = [_stack("Thread", frame) for frame in frames if frame is not own]
    text = "".join([*stacks, *_green_threads()]).encode("ascii", "backslashreplace")
    while text:
        text = text[_write(descriptor, text) :]


def _green_threads() -> Iterator[str]:
    greenlet = getattr(sys.modules.get("greenlet"), "greenlet", None)
    if greenlet is None:
        return
    # A green thread that waits is known to nobody else. Proxies are not asked: they could answer with errors.
    green = (thing for thing in gc.get_objects() if issubclass(type(thing), greenlet))
    for _, thread in zip(range(_MAX_GREEN_THREADS), green, strict=False):
        frame: FrameType | None = thread.gr_frame
        # One that has not begun, has ended, or runs: then it is where its native thread stands.
        if frame is not None and thread and not thread.dead:
            yield _stack("Green thread", frame)


def _stack(kind: str, frame: FrameType | None) -> str:
    lines = [f"{kind} (most recent call first):\n"]
    while frame is not None and len(lines) <= _MAX_FRAMES:
        code = frame.f_code
        lines.append(f'  File "{_line(code.co_filename)}", line {frame.f_lineno} in {_line(code.co_name)}\n')
        frame = frame.f_back
    return "".join(lines)


def _line(name: str) -> str:
    return name.replace("\n", "?")
