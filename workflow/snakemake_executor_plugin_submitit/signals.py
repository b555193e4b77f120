"""Ctrl-C, which a terminal sends to the head and to all that it has started."""

import contextlib
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Leave Ctrl-C to the other threads; what this one starts, as an sbatch, is deaf to it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
