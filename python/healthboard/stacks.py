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

# The most green threads, and the most frames of each. `faulthandler` has the same limits for native threads.
_MAX_GREEN_THREADS = 100
_MAX_FRAMES = 100


def start() -> None:
    """Make the keeper record where the threads stand when this process hangs."""
    _native.trace(write, os.path.dirname(os.path.abspath(__file__)))


def write(descriptor: int) -> None:
    """Write the stacks of all threads in the format of `faulthandler`, including green threads.

    Runs in a native thread that the interpreter did not know before.
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
    # Only the collector knows all waiting green threads. `isinstance` would ask proxies, which may raise.
    green = (thing for thing in gc.get_objects() if issubclass(type(thing), greenlet))
    for _, thread in zip(range(_MAX_GREEN_THREADS), green, strict=False):
        frame: FrameType | None = thread.gr_frame
        # One that has not begun or has ended has no frame. The frames of a running one are its native
        # thread's.
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
