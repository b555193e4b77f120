"""The table `segments`: where and when each stretch of a training ran, and with which code."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC
from typing import Any

import pyarrow as pa

from model.table import Table, column
from study.collecting.run_result import RunResult

TABLE = Table(
    name="segments",
    row="run and segment",
    note="A segment is what one process trained, between a start and a stop.",
    columns=[
        column("segment", pa.int64(), "segment, from 0, in order of time"),
        column("started", pa.timestamp("us", tz="UTC"), "start of the process"),
        column("seconds", pa.float64(), "time spent training", "s"),
        column("first_step", pa.int64(), "step that it began at"),
        column("last_step", pa.int64(), "step that it came to"),
        column("host", pa.string(), "machine"),
        column("device", pa.string(), "GPU, or CPU"),
        column("ranks", pa.int64(), "processes that shared each batch"),
        column("gpus", pa.int64(), "GPUs; 0 on a CPU"),
        column("threads", pa.int64(), "CPU threads of PyTorch in each process"),
        column("peak_memory_bytes", pa.int64(), "peak memory of the GPU, or of the process", "B"),
        column("git_commit", pa.string(), "commit of the code; null outside a repository"),
        column("git_dirty", pa.bool_(), "whether tracked files differed from that commit"),
        column("code_digest", pa.string(), "digest of the sources that decide the numbers"),
        column("python_version", pa.string(), "version of Python"),
        column("torch_version", pa.string(), "version of PyTorch"),
        column("numpy_version", pa.string(), "version of NumPy"),
        column("cuda_version", pa.string(), "version of CUDA; null on a CPU"),
    ],
)


def rows(run: RunResult) -> Iterator[dict[str, Any]]:
    """One row per segment."""
    for index, segment in enumerate(run.training.segments):
        row = asdict(segment)
        versions = row.pop("versions")
        yield {
            **row,
            "segment": index,
            "started": segment.started.astimezone(UTC),
            **{f"{name}_version": version for name, version in versions.items()},
        }
