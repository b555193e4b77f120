"""What a job makes, and from what: how it is recognised by the next run of Snakemake."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_submitit import internals

LARGE_FILE_BYTES = 1_000_000  # above, size and time stand for the content, as in Snakemake


def job_key(job: JobExecutorInterface) -> str:
    """A name for what a job makes: equal for the same outputs in every run of Snakemake."""
    targets = sorted(map(str, job.output)) or sorted(map(str, job.get_target_spec()))
    return _digest(targets)


def job_fingerprint(job: JobExecutorInterface) -> str:
    """A digest of a job's parameters and inputs: equal if running it again would do the same."""
    # The address in the representation of an object says nothing about it.
    params = sorted(
        re.sub(r" at 0x[0-9a-f]+", "", repr(value))
        for member in members(job)
        for value in internals.parameters(member)
    )
    inputs = sorted({str(path) for path in job.get_wait_for_files()})
    return _digest([*params, *(f"{path} {_content(Path(path))}" for path in inputs)])


def members(job: JobExecutorInterface) -> list[JobExecutorInterface]:
    """The jobs of a group; a job that is none is its own only member."""
    return list(job.jobs) if job.is_group() else [job]


def _content(path: Path) -> str:
    try:
        stat = path.stat()
        if path.is_file() and stat.st_size <= LARGE_FILE_BYTES:
            return hashlib.sha1(path.read_bytes()).hexdigest()
        return f"{stat.st_size} {stat.st_mtime_ns}"
    except OSError:
        return "missing"


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha1("\0".join(parts).encode()).hexdigest()
