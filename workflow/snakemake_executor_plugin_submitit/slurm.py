"""SLURM's commands: one query for all jobs, how one of them ended, and what tells SLURM to act."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Collection

from snakemake_executor_plugin_submitit import environment, slurm_answers
from snakemake_executor_plugin_submitit.slurm_answers import Ending, QueuedState

COMMANDS = ("sbatch", "srun", "squeue", "scancel", "scontrol")
QUERY_TIMEOUT_S = 120
COMMAND_TIMEOUT_S = 60
DEFAULT_KILL_WAIT_S = 30.0
CANCELLED_AT_ONCE = 1000  # ids on one command line


class QueryError(Exception):
    """SLURM did not answer."""


def missing_command() -> str | None:
    """The first of SLURM's commands that is not on PATH."""
    return next((command for command in COMMANDS if shutil.which(command) is None), None)


def queued_states() -> dict[str, QueuedState]:
    """This user's jobs, by id, with those that ended in the last minutes; raises QueryError."""
    answer = _ask(
        "squeue", f"--user={os.getuid()}", "--states=all", "--array", "--noheader",
        f"--Format={slurm_answers.QUEUE_FORMAT}",
    )  # fmt: skip
    try:
        return slurm_answers.queued_states(answer)
    except ValueError as error:
        raise QueryError(f"squeue: its answer is cut off: {error}") from error


def jobs_of_submissions(submissions: Collection[str]) -> list[str]:
    """This user's live jobs and arrays of these submissions; raises QueryError."""
    answer = _ask(
        "squeue", f"--user={os.getuid()}", "--states=all", "--noheader",
        f"--format={slurm_answers.COMMAND_FORMAT}",
    )  # fmt: skip
    try:
        return slurm_answers.jobs_of_submissions(answer, submissions)
    except ValueError as error:
        raise QueryError(f"squeue: its answer is cut off: {error}") from error


def ending(job_id: str, seen: QueuedState | None) -> Ending:
    """How a job ended: from the accounting, the controller's memory, or as the queue showed it."""
    with contextlib.suppress(QueryError):
        answer = _ask(
            "sacct", "-X", "--noheader", "--parsable2",
            f"--format={slurm_answers.ACCOUNTING_COLUMNS}", "--jobs", job_id,
        )  # fmt: skip
        if accounted := slurm_answers.accounted_ending(answer):
            return accounted
    with contextlib.suppress(QueryError):
        answer = _ask("scontrol", "show", "--oneliner", "job", job_id)
        if remembered := slurm_answers.remembered_ending(answer):
            return remembered
    return Ending(seen.state) if seen else Ending()


def array_limit() -> int | None:
    """How many tasks one array may have; None if SLURM does not say, or not now."""
    with contextlib.suppress(QueryError):
        answer = _ask("scontrol", "show", "config")
        return slurm_answers.array_limit(slurm_answers.configuration(answer))
    return None


def kill_wait_s() -> float:
    """How long SLURM waits between SIGTERM and SIGKILL; its default while it does not answer."""
    with contextlib.suppress(QueryError, ValueError):
        settings = slurm_answers.configuration(_ask("scontrol", "show", "config"))
        return float(settings.get("KillWait", "").partition(" ")[0])
    return DEFAULT_KILL_WAIT_S


def partition_time_limits(names: str | None) -> list[float]:
    """The longest time limits of partitions (`a,b`; None: the default one), in minutes.

    Raises QueryError.
    """
    answer = _ask("scontrol", "show", "--oneliner", "partition")
    return slurm_answers.time_limits(answer, names)


def out_of_service(names: str | None) -> list[str]:
    """The nodes of partitions (`a,b`; None: the default one) that take no jobs at present."""
    with contextlib.suppress(QueryError):
        default = slurm_answers.default_partition(
            _ask("scontrol", "show", "--oneliner", "partition")
        )
        nodes = _ask("scontrol", "show", "--oneliner", "node")
        return slurm_answers.out_of_service(nodes, names, default)
    return []


class DefaultTimes:
    """The time limits that partitions give to jobs without one; SLURM is asked once."""

    def __init__(self) -> None:
        self._answer: str | None = None

    def __call__(self, names: str | None) -> float | None:
        """In minutes, of partitions (`a,b`; None: the default one); None if SLURM has none."""
        with contextlib.suppress(QueryError):
            if self._answer is None:
                self._answer = _ask("scontrol", "show", "--oneliner", "partition")
            return min(slurm_answers.default_times(self._answer, names), default=None)
        return None


def release(job_id: str) -> None:
    """Let a job run that SLURM holds."""
    subprocess.run(["scontrol", "release", job_id], check=False, timeout=COMMAND_TIMEOUT_S)


def cancel(job_ids: list[str]) -> list[str]:
    """Cancel jobs, which save their state first; returns those for which scancel failed."""
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
        answer = subprocess.run(
            command, check=False, timeout=COMMAND_TIMEOUT_S, env=environment.without_filters()
        )
        return answer.returncode == 0
    return False


def _ask(*command: str) -> str:
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=QUERY_TIMEOUT_S,
            check=False,
            env=environment.without_filters(),
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueryError(str(error)) from error
    if answer.returncode != 0:
        raise QueryError(f"{command[0]}: {answer.stderr.strip() or answer.returncode}")
    return answer.stdout
