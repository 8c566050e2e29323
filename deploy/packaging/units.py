"""Makes the drop-ins of this package of those in deploy/systemd: without an endpoint, which nova.conf names.

Without an endpoint nobody pets a watchdog, so there is none.
"""

import sys
from pathlib import Path

LEFT_OUT = ("#", "Environment=HEALTHBOARD_URI=", "WatchdogSec=")

source, target = map(Path, sys.argv[1:])
for drop_in in sorted(source.glob("*/healthboard.conf")):
    lines = [line for line in drop_in.read_text().splitlines() if not line.startswith(LEFT_OUT)]
    to = target / drop_in.parent.name / drop_in.name
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text("\n".join(["# nova.conf.d/healthboard.conf turns health on.", *lines, ""]))
