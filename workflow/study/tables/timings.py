"""The table `timings`: what depends on when and where a run was executed.

It is apart, so that all other tables of two executions of one study compare byte for byte.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from model.table import Table, column
from study.collecting.run_result import RunResult


def _entry(*path: str) -> Callable[[RunResult], Any]:
    """An entry of train.json."""

    def value(run: RunResult) -> Any:
        found: Any = run.training
        for key in path:
            found = found[key]
        return found

    return value


def _started(run: RunResult) -> datetime:
    return datetime.fromisoformat(run.training["started"]).astimezone(UTC)


# fmt: off
_COLUMNS: list[tuple[pa.Field, Callable[[RunResult], Any]]] = [
    (column("started", pa.timestamp("us", tz="UTC"), "start of the training"), _started),
    (column("wall_seconds", pa.float64(), "time spent training, over all resumes", "s"),
     _entry("wall_seconds")),
    (column("gpu_hours", pa.float64(), "GPUs x hours; 0 on a CPU", "h"), _entry("gpu_hours")),
    (column("peak_memory_bytes", pa.int64(), "peak memory of the GPU, or of the process", "B"),
     _entry("peak_memory_bytes")),
    (column("resumes", pa.int64(), "how often the training was stopped and resumed"),
     _entry("resumes")),
    (column("device", pa.string(), "GPU, or CPU, that the run was trained on"), _entry("device")),
    (column("host", pa.string(), "machine that the run was trained on"), _entry("host")),
    (column("threads", pa.int64(), "CPU threads of PyTorch"), _entry("threads")),
    (column("git_commit", pa.string(), "commit of the code; null outside a repository"),
     _entry("git_commit")),
    (column("git_dirty", pa.bool_(), "whether tracked files differed from that commit"),
     _entry("git_dirty")),
    (column("python_version", pa.string(), "version of Python"), _entry("versions", "python")),
    (column("torch_version", pa.string(), "version of PyTorch"), _entry("versions", "torch")),
    (column("numpy_version", pa.string(), "version of NumPy"), _entry("versions", "numpy")),
    (column("cuda_version", pa.string(), "version of CUDA; null on a CPU"),
     _entry("versions", "cuda")),
]
# fmt: on

TABLE = Table(name="timings", row="run", columns=[field for field, _ in _COLUMNS])


def rows(run: RunResult) -> Iterator[dict[str, Any]]:
    """The row of one run."""
    yield {field.name: value(run) for field, value in _COLUMNS}
