"""What can be seen of a training while it trains: lines in its log, and two files in `state/`.

They lie beside the resume states, since Snakemake deletes declared outputs: `progress.json`, and
`history.parquet` with the learning curve so far.  Nothing here has an influence on the training.
"""

import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pyarrow as pa
import torch

from model.training import history
from model.training.checkpoints import Checkpoints, OwnershipLost
from model.training.curve_writers import CurveWriters, WriterName
from model.training.progress_file import ProgressFile, duration
from model.training.state import Training

log = logging.getLogger(__name__)

WRITE_S = 30.0  # between two versions of the files
LINE_S = 45.0  # without a line in the log
FIRST_S = 5.0  # until the first of either: who has just started a training looks at it
WINDOW = 20  # versions of the files over which the speed is measured: ten minutes


def opening(training: Training, num_images: int, data_dir: Path) -> str:
    """The first line of a log: model, parameters, device, data and length."""
    run, device = training.run, training.device
    is_cuda = device.type == "cuda"
    name = torch.cuda.get_device_name(device) if is_cuda else f"threads: {torch.get_num_threads()}"
    num_parameters = training.model.num_parameters
    return (
        f"{run.dataset}/{run.variant}/seed{run.seed}: {num_parameters:,} parameters, "
        f"depth {run.model.stochastic_depth}; {training.ranks.size} x {device.type} ({name}); "
        f"{num_images:,} training images in {data_dir / run.dataset}, batches of "
        f"{run.train.batch_size}; {run.train.iterations:,} iterations"
    )


class ProgressReport:
    """Tells of a training, from the writer's process alone; a context that tells how it ended.

    A file that cannot be written is a warning, since the training itself may well go on; but
    OwnershipLost is raised as soon as it is noticed.
    """

    def __init__(
        self, training: Training, checkpoints: Checkpoints, report_to: Iterable[WriterName] = ()
    ) -> None:
        self._training, self._checkpoints = training, checkpoints
        self._is_writer = training.ranks.is_writer
        now = time.monotonic()
        self._line_at = now - max(0.0, LINE_S - FIRST_S)
        self._line_step = training.progress.step
        self._written_at, self._is_trouble_told = -inf, False
        self._marks = deque([(now, training.progress.step)], maxlen=WINDOW)
        rows = training.curve.rows(training.run.train)
        self._table, self._new_rows = history.TABLE.of_rows(rows), list[history.Row]()
        self._last = {(row["split"], row["weights"]): row for row in rows}
        self._process = _process()
        names = report_to if self._is_writer else ()
        self._writers = CurveWriters(names, checkpoints.states, training.run, rows)

    def __enter__(self) -> "ProgressReport":
        if self._is_writer:
            self._write("running")
            self._written_at -= max(0.0, WRITE_S - FIRST_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._writers.close()
        if not self._is_writer or isinstance(error, OwnershipLost):
            return
        if error is not None and kind is not None:
            # The last steps may say why; a device that has failed cannot be asked.
            with suppress(RuntimeError):
                self._training.read()
            self._write("failed", f"{kind.__name__}: {' '.join(str(error).split())}"[:500])
        else:
            status = self._training.status
            self._write("stopped" if status == "running" else status)

    def add(self, row: history.Row) -> None:
        """Tell of a new row of the learning curve."""
        if self._is_writer:
            self._new_rows.append(row)
            self._writers.add(row)
            self._say(row)

    def after_step(self) -> None:
        """Tell of a step, where that is due."""
        if not self._is_writer:
            return
        step, config = self._training.progress.step, self._training.run.train
        curve = self._training.curve
        if step % config.log_every == 0:
            self.add(curve.last_row(config))
        elif time.monotonic() - self._line_at >= LINE_S:
            self._training.read()
            self._say(curve.last_row(config, step - self._line_step))
        self._write_if_due()

    def in_validation(self, done: int, images: int) -> None:
        """Tell that a validation goes on, where that is due."""
        if self._is_writer:
            if time.monotonic() - self._line_at >= LINE_S:
                step, config = self._training.progress.step, self._training.run.train
                log.info("step %d/%d  valid: image %d/%d", step, config.iterations, done, images)
                self._line_at = time.monotonic()
            self._write_if_due()

    def _say(self, row: history.Row) -> None:
        self._last[row["split"], row["weights"]] = row
        line = history.line(row, self._training.run)
        if row["split"] == "train":
            self._line_step = row["step"]
            if (pace := self._seconds_per_iteration()) is not None:
                line += f"  {pace:.3g} s/iteration, {duration(pace * self._iterations_left)} left"
        log.info("%s", line)
        self._line_at = time.monotonic()

    def _seconds_per_iteration(self) -> float | None:
        """Of late, with validations and all else; None before the first step."""
        started, first_step = self._marks[0]
        step = self._training.progress.step
        return (time.monotonic() - started) / (step - first_step) if step > first_step else None

    @property
    def _iterations_left(self) -> int:
        return max(0, self._training.run.train.iterations - self._training.progress.step)

    def _write_if_due(self) -> None:
        now = time.monotonic()
        if now - self._written_at >= WRITE_S:
            self._training.read()  # not in `_write`, which also tells of a device that failed
            self._write("running")
            self._marks.append((now, self._training.progress.step))

    def _write(self, status: Any, reason: str | None = None) -> None:
        """Write both files, unless another process has the run now; raises OwnershipLost."""
        state_dir = self._checkpoints.directory
        try:
            self._checkpoints.check_ownership()
            self._now(status, reason).write(state_dir)
            if self._new_rows:
                new, self._new_rows = history.TABLE.of_rows(self._new_rows), []
                self._table = pa.concat_tables([self._table, new])
                history.TABLE.write(self._table, state_dir / "history.parquet")
        except OSError as error:
            if not self._is_trouble_told:
                log.warning("progress cannot be told: %s; the training goes on", error)
            self._is_trouble_told = True
        self._written_at = time.monotonic()

    def _now(self, status: Any, reason: str | None) -> ProgressFile:
        training = self._training
        run, progress = training.run, training.progress
        segment = progress.segments[-1]
        pace = self._seconds_per_iteration()
        return ProgressFile(
            dataset=run.dataset,
            variant=run.variant,
            seed=run.seed,
            identity=self._checkpoints.states.name,
            dataset_sha256=training.dataset_sha256,
            status=status,
            reason=reason,
            step=progress.step,
            iterations=run.train.iterations,
            seconds_per_iteration=pace,
            eta_seconds=None if pace is None else pace * self._iterations_left,
            nll=self._nll("train", "raw"),
            valid_nll=self._nll("valid", "ema"),
            unit=run.model.unit,
            skipped_updates=progress.skipped_updates,
            started=segment["started"],
            updated=datetime.now(UTC).isoformat(timespec="seconds"),
            host=segment["host"],
            device=segment["device"],
            resumes=len(progress.segments) - 1,
            **self._process,
        )

    def _nll(self, split: str, weights: str) -> float | None:
        row = self._last.get((split, weights))
        return None if row is None else history.nll_in_unit(row, self._training.run.model)


def _process(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Which process this is, and which job of SLURM."""
    process = psutil.Process()
    job, array = environment.get("SLURM_JOB_ID"), environment.get("SLURM_ARRAY_JOB_ID")
    if array:
        job = f"{array}_{environment.get('SLURM_ARRAY_TASK_ID')}"
    requeues = environment.get("SLURM_RESTART_COUNT", "")
    return {
        "pid": process.pid,
        "process_started": process.create_time(),
        "job_id": job,
        "requeues": int(requeues) if requeues.isdecimal() else 0,
    }
