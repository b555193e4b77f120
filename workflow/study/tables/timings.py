"""The table `timings`: what depends on when and where a run was executed.

It is apart, so that all other tables of two executions of one study compare byte for byte.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from model.table import Table, column
from study.collecting.run_result import RunResult
from study.comparing.code import code_columns

# fmt: off
_COLUMNS: list[tuple[pa.Field, Callable[[RunResult], Any]]] = [
    (column("started", pa.timestamp("us", tz="UTC"), "start of the training"),
     lambda run: run.training.started),
    (column("wall_seconds", pa.float64(), "time spent training, over all segments", "s"),
     lambda run: run.training.wall_seconds),
    (column("gpu_hours", pa.float64(), "GPUs x hours, over all segments; 0 on a CPU", "h"),
     lambda run: run.training.gpu_hours),
    (column("peak_memory_bytes", pa.int64(), "peak memory of the GPU, or of the process", "B"),
     lambda run: run.training.peak_memory_bytes),
    (column("resumes", pa.int64(), "how often the training was stopped and resumed"),
     lambda run: run.training.resumes),
    (column("device", pa.string(), "GPUs, or CPUs, that the run was trained on, joined by ;"),
     lambda run: run.training.joined("device")),
    (column("git_commit", pa.string(), "commits, joined by ;. Null outside a repository"),
     lambda run: run.training.joined("git_commit")),
    *zip(code_columns("training", "evaluation"),
         (lambda run: run.training.joined("code_digest"),
          lambda run: run.about("test", "code_digest")), strict=True),
]
# fmt: on

TABLE = Table(
    name="timings",
    row="run",
    version=2,
    note="Sums over the segments of a training, which are in `segments`.",
    columns=[field for field, _ in _COLUMNS],
)


def rows(run: RunResult) -> Iterator[dict[str, Any]]:
    """The row of one run."""
    yield {field.name: value(run) for field, value in _COLUMNS}
