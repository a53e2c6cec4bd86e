"""Child processes that end with their parent, however it ends: by a signal, for lack of memory, or while it starts."""

import ctypes
import os
import signal
import sys
from multiprocessing import connection, parent_process
from threading import Thread

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Call it first in a child process of multiprocessing: the child is killed as soon as its parent has ended.

    On Linux the kernel does that, also to a child that hangs or is stopped. The kernel takes the thread that started
    the child for its parent, so start children in threads that live as long as the process. Elsewhere a thread of the
    child watches the parent. In a process that has no such parent this does nothing.
    """
    parent = parent_process()
    if parent is None:
        return
    if not ask_kernel():
        Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()
    elif not parent.is_alive():  # it ended before the kernel was asked
        os._exit(1)


def ask_kernel() -> bool:
    """Ask the kernel to kill this process when its parent ends, also after exec; False where the kernel cannot."""
    return _libc is not None and _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0


def _end_after(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)


# Loaded at import, because between fork and exec nothing may be.
_libc = ctypes.CDLL(None) if sys.platform.startswith("linux") else None
