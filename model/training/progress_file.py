"""What a training says of itself while it trains: `state/progress.json`; imports no torch."""

import dataclasses
import json
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from model.files import write_text

FILE = "progress.json"


@dataclass(frozen=True, kw_only=True)
class ProgressFile:
    """How far a training is, how fast, and which process it is or was."""

    dataset: str
    variant: str
    seed: int
    identity: str  # of its states: RunConfig.identity(dataset_sha256)
    dataset_sha256: str
    # `stopped`: told to save and end. A process that was killed leaves `running`.
    status: Literal["running", "stopped", "finished", "diverged", "failed"]
    reason: str | None  # why it failed
    step: int
    iterations: int
    seconds_per_iteration: float | None  # of late; None before the first step
    eta_seconds: float | None  # to the last iteration, at this speed
    nll: float | None  # of the last training batches, in `unit`; None if it is not finite
    valid_nll: float | None  # of the last validation of the averaged weights
    unit: str  # nats (per image) or bits/dim
    skipped_updates: int
    started: str  # when this process began to train
    updated: str  # by the clock of `host`
    host: str
    device: str
    pid: int
    process_started: float  # seconds since 1970: with `pid`, one process only
    job_id: str | None  # of SLURM, as squeue shows it
    requeues: int  # of this job, by SLURM
    resumes: int  # how often a process went on from a saved state

    @property
    def text(self) -> str:
        """The content of the file."""
        values = dataclasses.asdict(self)
        for name, value in values.items():  # NaN is not JSON
            if isinstance(value, float) and not isfinite(value):
                values[name] = None
        return json.dumps(values, indent=1, allow_nan=False) + "\n"

    def write(self, state_dir: Path) -> None:
        """Write it into a run's `state/`."""
        write_text(state_dir / FILE, self.text)


def duration(seconds: float) -> str:
    """Seconds in two units at most: "45 s", "12 min", "3 h 05 min", "2 d 4 h"."""
    minutes = round(seconds / 60)
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if minutes < 100:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    if hours < 48:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{hours // 24} d {hours % 24} h"
