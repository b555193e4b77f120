"""Handing jobs to submitit: one array for all of equal parameters, and what a refusal means."""

import contextlib
import math
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from submitit import AutoExecutor, Job

from snakemake_executor_plugin_submitit.runner import JobRunner, Outcome
from snakemake_executor_plugin_submitit.status import (
    QueryError,
    local_process,
    partition_time_limits,
)

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol")

CANCELLED_AT_ONCE = 1000
NO_LIMIT = 1_000_000  # of submitit's own for requeues; JobRunner counts them

# A job that is preempted as soon as it starts would die of a signal that it has no handler for yet.
UNTIL_READY = """sh -c 'trap "" USR2; exec "$0" "$@"'"""

# sbatch's words, as in SLURM's slurm_errno.c.
LIMIT = re.compile(
    r"Max(Submit|Jobs)|job submit limit|temporarily unable to accept|Resource temporarily", re.I
)
REFUSAL = re.compile(
    r"invalid|sbatch --help|not permitted|permission denied|access denied"
    r"|requested node configuration is not available|can ?not be satisfied|not supported"
    r"|more processors requested|violates accounting|unable to open|no partition|unknown",
    re.I,
)
TRANSIENT = re.compile(r"unable to contact|timed out|connection|transport|zero bytes", re.I)


class SubmissionError(Exception):
    """A submission that did not happen, and need not ever happen."""


class Refused(SubmissionError):
    """No use in trying again."""


class SlurmAway(SubmissionError):
    """The controller does not answer: as long as it takes, it is worth another try."""


class LimitReached(SubmissionError):
    """The cluster takes no more jobs of this user for now."""


def missing_command() -> str | None:
    """The first of SLURM's commands that is not on PATH."""
    return next((command for command in COMMANDS if shutil.which(command) is None), None)


def submit(
    folder: Path,
    cluster: str,
    name: str,
    parameters: dict[str, Any],
    runners: Sequence[JobRunner],
    array_parallelism: int,
) -> list["Job[Outcome]"]:
    """Submit jobs of equal parameters at once; raises SubmissionError."""
    executor = _executor(folder, cluster, name, parameters)
    executor.update_parameters(slurm_array_parallelism=array_parallelism or len(runners))
    try:
        jobs: list[Job[Outcome]] = executor.submit_array(runners)
    except Exception as error:  # whatever sbatch, the file system or submitit say
        raise _meaning(str(error)) from error
    finally:
        # Links to the script of each submission, and pickles of jobs that were not taken.
        for leftover in (
            *folder.glob(".submission_file_*"),
            *folder.glob(f"{'[0-9a-f]' * 32}.pkl"),
        ):
            leftover.unlink()
    return jobs


def refusal(folder: Path, parameters: dict[str, Any]) -> str | None:
    """Why SLURM would never run such a job, in its own words; None if it would, or is away."""
    executor = _executor(folder, "slurm", "test", parameters)
    inner: Any = executor._executor  # the script that submitit would hand to sbatch
    script = inner._make_submission_file_text("true", "test")
    try:
        answer = subprocess.run(
            ["sbatch", "--test-only"],
            input=script,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if answer.returncode == 0:
        return _beyond_partition(parameters)
    error = _meaning(answer.stderr)
    return str(error) if isinstance(error, Refused) else None


def cancel(job_ids: list[str], *, on_slurm: bool) -> list[str]:
    """Have jobs saved and ended; returns those for which that could not be said."""
    if not on_slurm:
        for process in filter(None, map(local_process, job_ids)):
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGTERM)
        return []
    left = []
    for start in range(0, len(job_ids), CANCELLED_AT_ONCE):
        chunk = job_ids[start : start + CANCELLED_AT_ONCE]
        if not any(_scancel(chunk, pause_s) for pause_s in (0, 1, 3)):
            left += chunk
    return left


def _scancel(job_ids: list[str], pause_s: float) -> bool:
    time.sleep(pause_s)
    with contextlib.suppress(subprocess.TimeoutExpired):
        command = ["scancel", "--quiet", *job_ids]
        return subprocess.run(command, check=False, timeout=60).returncode == 0
    return False


def _beyond_partition(parameters: dict[str, Any]) -> str | None:
    """Whether a job would wait for ever: sbatch takes it, although its time limit is too long."""
    if "slurm_qos" in parameters:  # which may lift the partition's limit
        return None
    with contextlib.suppress(QueryError):
        limits = partition_time_limits(parameters.get("slurm_partition"))
        longest = max(limits, default=math.inf)
        if parameters["timeout_min"] > longest:
            return f"the partition allows at most {longest:g} minutes"
    return None


def _executor(folder: Path, cluster: str, name: str, parameters: dict[str, Any]) -> AutoExecutor:
    executor = AutoExecutor(
        folder=folder,
        cluster=cluster,
        slurm_max_num_timeout=NO_LIMIT,
        slurm_python=f"{UNTIL_READY} {shlex.quote(sys.executable)}",
    )
    executor.update_parameters(name=name, stderr_to_stdout=True, **parameters)
    return executor


def _meaning(message: str) -> SubmissionError:
    lines = [
        re.sub(r"^\w+: (error: )?(allocation failure: )?", "", line)
        for line in message.splitlines()
        if line.strip()
    ]
    text = "; ".join(dict.fromkeys(line for line in lines if not line.startswith("-----")))
    if LIMIT.search(text):
        return LimitReached(text)
    if TRANSIENT.search(text):
        return SlurmAway(text)
    if REFUSAL.search(text):
        return Refused(text)
    return SubmissionError(text)
