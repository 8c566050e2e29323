"""Recording operations that may hang, where another hook records their success."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ... import Indicator


def in_flight(indicator: Indicator, judge: Any, function: Any) -> Any:
    """Wrap the function: hangs and exceptions of a call are evidence, its return is not."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with indicator.begin(judge) as operation:
            result = function(*args, **kwargs)
            operation.end()
        return result

    return wrapper
