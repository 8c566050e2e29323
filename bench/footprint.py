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
    sizes = {}
    with open("/proc/self/smaps_rollup") as rollup:
        for line in rollup:
            name, value, *_ = line.split()
            sizes[name.rstrip(":")] = value
    written = int(sizes["Private_Dirty"])
    return written + int(sizes["Private_Clean"]), written, int(sizes["Rss"]), len(os.listdir("/proc/self/task"))


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
started = [now - then for now, then in zip(look(), before, strict=True)]
library = os.path.getsize(healthboard._native.__file__) / 1000
print(took, imported[0] - before[0], *started, library)
