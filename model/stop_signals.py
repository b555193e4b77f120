"""The signals that ask a command to stop, and how it ends where there is nothing to save."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
# What has nothing to save leaves SIGUSR2 alone: a job in which something catches that is started
# again at its time limit, since it is taken for one that goes on from what it has saved.
END_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def end_at_once() -> None:
    """Have these signals end the process, with 128 + n and a line, while it imports its modules.

    A KeyboardInterrupt would come out of the middle of an import, where some make another error of
    it; and whoever reads the log would take its traceback for a failure.
    """
    for number in END_SIGNALS:
        signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    os.write(2, f"{name}: ended; run the same command again to go on\n".encode())
    os._exit(128 + number)


@contextmanager
def ending_quietly() -> Iterator[None]:
    """A block that these signals end by SystemExit, so that half-written files are removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = [signal.signal(number, stop) for number in END_SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(END_SIGNALS, before, strict=True):
            signal.signal(number, handler)
