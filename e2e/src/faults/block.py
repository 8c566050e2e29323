"""A `sitecustomize` with which a test blocks the main thread of a service, with the GIL held or released.

The thread waits in the C library until the other end of a FIFO is opened. The FIFO is named after the process.
"""

import os
import signal


def _block_by(library):
    def handler(*_):
        import ctypes
        import errno

        libc = getattr(ctypes, library)(None, use_errno=True)
        fifo = os.path.join(os.path.dirname(__file__), str(os.getpid())).encode()
        while (descriptor := libc.open(fifo, os.O_RDONLY)) < 0 and ctypes.get_errno() == errno.EINTR:
            pass
        if descriptor >= 0:
            os.close(descriptor)

    return handler


signal.signal(signal.SIGRTMIN + 4, _block_by("PyDLL"))
signal.signal(signal.SIGRTMIN + 5, _block_by("CDLL"))
