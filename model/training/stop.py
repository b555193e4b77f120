"""The signals that ask a training to save and exit."""

import signal
from types import FrameType

from model.stop_signals import STOP_SIGNALS


class StopFlag:
    """Remembers the first stop signal; from then on none of them ends the process."""

    def __init__(self) -> None:
        self.signal: int | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._set)
        # Whoever started this process may have blocked them: they are meant all the same.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _set(self, number: int, frame: FrameType | None) -> None:
        # SLURM and the executor may both send one: the first is acted on, at the next step.
        if self.signal is None:
            self.signal = number
