"""libvirt

Only errors of the connection or of the host are failures. What concerns one domain, network or volume says
nothing of the rest. The code decides, or else the part of libvirt that reports it.
"""

from __future__ import annotations

from .finding import Entry, Finding, answered, by_key, read, unavailable, unknown

CONNECTION = unavailable("the connection to libvirt broke, or was not made")

# `VIR_ERR_…`: NO_MEMORY has the number of ERROR, 2.
CODES = (
    (CONNECTION, (4, 5, 6, 39, 40, 85, 95, 98)),
    (unavailable("libvirt does not let this service in"), (45, 79, 94)),
    (unavailable("the host has no memory left"), (2,)),
    (
        answered("there is no such domain, network, volume or device"),
        (42, 43, 49, 50, 53, 57, 62, 66, 72, 80, 99, 101, 103, 104, 107),
    ),
    (answered("not possible in the state that the object is in, or not at all"), (3, 55, 67, 74, 84, 91)),
    (answered("the request was wrong"), (7, 8, 27, 28, 35, 37, 92, 106, 110)),
)

# `VIR_FROM_REMOTE`, `VIR_FROM_RPC`: nobody else speaks of a system's error there.
PARTS = ((CONNECTION, (13, 7)),)

OF_ONE_OBJECT = unknown("it may be of one domain only: its monitor, its guest agent, its disk")

CASES = ((OF_ONE_OBJECT, ("everything else",)),)

_codes, _parts = by_key(CODES), by_key(PARTS)


def by_code_or_part(raised: BaseException) -> Finding:
    """By the code, then by the part of libvirt."""
    error = read(raised, "err")
    code, part = error[:2] if isinstance(error, tuple) and len(error) >= 2 else (None, None)
    return _codes.get(code) or _parts.get(part) or OF_ONE_OBJECT


CLASSES: dict[str, Entry] = {"libvirt.libvirtError": by_code_or_part}
