"""What health adds to this process: before, after the import, and after a start with an endpoint and one recording."""

import os
import sys
import time

if sys.argv[2:] == ["furnished"]:
    # What every service has imported by itself.
    import functools
    import inspect
    import logging
    import threading


def look():
    with open("/proc/self/statm") as statm:
        resident = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
    return resident, len(os.listdir("/proc/self/task"))


look()
before = look()
begin = time.perf_counter()
import healthboard  # noqa: E402

took = (time.perf_counter() - begin) * 1000
imported = look()
healthboard.start("bench", {"uri": f"unix://{sys.argv[1]}/health.sock", "runtime_dir": sys.argv[1]})
healthboard.record_ok("database")
until = time.monotonic() + 5
while not os.path.exists(f"{sys.argv[1]}/health.sock") and time.monotonic() < until:
    time.sleep(0.01)
time.sleep(0.1)
started = look()
names = [open(f"/proc/self/task/{task}/comm").read().strip() for task in os.listdir("/proc/self/task")]
library = os.path.getsize(healthboard._native.__file__) / 1000
print(
    took,
    imported[0] - before[0],
    started[0] - before[0],
    names.count("healthboard"),
    started[1] - before[1],
    library,
)
