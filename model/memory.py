"""The memory of a process that computes on the CPU."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's <malloc.h>


def keep_freed_memory() -> None:
    """Let the C library keep what tensors leave, for the next ones; call it before there are any.

    Otherwise it hands large blocks back to the kernel, which clears each page when it is asked for
    it again, several times in each step of a training: a tenth of its time.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)  # never
