"""The learning curve as an event file of TensorBoard; imports its package."""

from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

FLUSH_S = 30


class TensorboardWriter:
    """One event file in a folder; `tensorboard --logdir results/STUDY/runs` shows a study."""

    def __init__(self, folder: Path) -> None:
        for earlier in folder.glob("events.out.tfevents.*"):
            earlier.unlink()
        # A TensorBoard that is looking on forgets what it has read of the earlier file.
        self._writer = SummaryWriter(str(folder), purge_step=0, flush_secs=FLUSH_S)

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the numbers of a step."""
        for tag, value in values.items():
            self._writer.add_scalar(tag, value, step)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
