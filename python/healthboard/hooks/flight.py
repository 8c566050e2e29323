"""What hooks of operations have in common that may hang, and whose success another hook sees."""

from __future__ import annotations

import functools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .. import Indicator


def in_flight(indicator: Indicator, judge: Any, function: Any) -> Any:
    """Return the function, each call of it in flight: hangs and exceptions are evidence, returns are not."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with indicator.begin(judge) as operation:
            result = function(*args, **kwargs)
            operation.end()
        return result

    return wrapper
