"""A service of oslo.service with one worker, which needs SECONDS to start and three to stop.

The worker hangs, in C code that keeps the interpreter's lock, when there is a file `hang` in its runtime
directory, and computes in two threads while there is a file `busy`.
"""

import ctypes
import os
import sys
import threading
import time

from oslo_config import cfg
from oslo_service import backend

backend.init_backend(backend.BackendType.THREADING)

from oslo_service import service  # noqa: E402

import healthboard  # noqa: E402

FOLDER = os.environ["RUNTIME_DIRECTORY"].partition(":")[0]


def is_there(name: str) -> bool:
    return os.path.exists(os.path.join(FOLDER, name))


def compute() -> None:
    while True:
        if is_there("busy"):
            sum(range(1_000_000))
        else:
            time.sleep(0.1)


class Worker(service.Service):
    def start(self) -> None:
        for target in (self.work, compute, compute):
            threading.Thread(target=target, daemon=True).start()

    def work(self) -> None:
        while True:
            healthboard.record_ok("work")
            if is_there("hang"):
                os.remove(os.path.join(FOLDER, "hang"))
                ctypes.PyDLL(None).poll(None, 0, 600_000)
            time.sleep(0.1)

    def stop(self, graceful: bool = False) -> None:
        time.sleep(3)
        super().stop(graceful)


cfg.CONF([], project="slow")
launcher = service.launch(cfg.CONF, Worker(), workers=1, restart_method="mutate")
time.sleep(float(sys.argv[1]))
# The launcher is about to say that it is ready.
open(os.path.join(FOLDER, "says"), "w").close()
launcher.wait()
