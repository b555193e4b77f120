"""What SLURM knows of jobs: one query for all that live, and the story of one that died."""

import contextlib
import math
import os
import re
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psutil

QUERY_TIMEOUT_S = 120

DEAD = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}


class QueryError(Exception):
    """SLURM did not answer."""


@dataclass(frozen=True)
class QueuedState:
    """A job as squeue shows it."""

    state: str  # PENDING, RUNNING, ...
    reason: str = ""  # why it waits

    @property
    def is_alive(self) -> bool:
        """Whether the job waits, runs, ends or is about to be requeued."""
        return self.state not in DEAD


@dataclass(frozen=True)
class Death:
    """How a job ended, as far as SLURM remembers."""

    state: str = "UNKNOWN"
    exit_code: str = ""  # code:signal
    node: str = ""


def slurm_states() -> dict[str, QueuedState]:
    """This user's jobs, by id, with those that ended in the last minutes; raises QueryError."""
    lines = _ask(
        "squeue", f"--user={os.getuid()}", "--states=all", "--array", "--noheader",
        "--format=%i|%T|%r",
    )  # fmt: skip
    states = {}
    for line in lines:
        job_id, state, reason = line.split("|", 2)
        states[job_id.strip()] = QueuedState(state, reason)
    return states


def local_states(job_ids: Iterable[str]) -> dict[str, QueuedState]:
    """Those of the jobs on this machine that run."""
    return {job_id: QueuedState("RUNNING") for job_id in job_ids if local_process(job_id)}


def local_process(job_id: str) -> psutil.Process | None:
    """The process of submitit that controls a job on this machine; None if it is gone."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(job_id))
        if process.status() != psutil.STATUS_ZOMBIE and any(
            "submitit.local" in word for word in process.cmdline()
        ):
            return process
    return None


def slurm_death(job_id: str, seen: QueuedState | None) -> Death:
    """How a job ended: from the accounting, the controller's memory, or the queue."""
    with contextlib.suppress(QueryError, ValueError):
        columns = "--format=State,ExitCode,NodeList"
        lines = _ask("sacct", "-X", "--noheader", "--parsable2", columns, "--jobs", job_id)
        state, exit_code, node = lines[-1].split("|") if lines else ("", "", "")
        if state.split(" ")[0] in DEAD:
            return Death(state, exit_code, node)
    with contextlib.suppress(QueryError):
        fields = _fields(" ".join(_ask("scontrol", "show", "--oneliner", "job", job_id)))
        if fields.get("JobState") in DEAD:
            return Death(fields["JobState"], fields.get("ExitCode", ""), fields.get("NodeList", ""))
    return Death(seen.state if seen else "UNKNOWN")


def slurm_configuration() -> Mapping[str, str]:
    """SLURM's own settings, by name; raises QueryError."""
    lines = _ask("scontrol", "show", "config")
    return {
        name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)
    }


def partition_time_limits(names: str | None) -> list[float]:
    """The longest time limits of partitions (`a,b`; None: the default one), in minutes.

    Raises QueryError.
    """
    limits = []
    for line in _ask("scontrol", "show", "--oneliner", "partition"):
        fields = _fields(line)
        is_meant = fields["PartitionName"] in names.split(",") if names else False
        if is_meant or (names is None and fields["Default"] == "YES"):
            limits.append(_minutes(fields["MaxTime"]))
    return limits


def _minutes(text: str) -> float:
    """Minutes of SLURM's `days-hours:minutes:seconds`."""
    if text == "UNLIMITED":
        return math.inf
    days, _, clock = text.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return 1440 * int(days or 0) + 60 * hours + minutes + seconds / 60


def _fields(text: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S*)", text))


def _ask(*command: str) -> list[str]:
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=QUERY_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise QueryError(str(error)) from error
    if answer.returncode != 0:
        raise QueryError(f"{command[0]}: {answer.stderr.strip() or answer.returncode}")
    return answer.stdout.splitlines()


class Backoff:
    """Spaces out what fails, and what takes long; doubling from one second to `longest_s`."""

    def __init__(self, longest_s: float) -> None:
        self.failures = 0
        self._longest_s = longest_s
        self._due = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is time to try."""
        return time.monotonic() >= self._due

    def failed(self) -> None:
        """Wait twice as long as after the last failure."""
        self.failures += 1
        self._due = time.monotonic() + min(self._longest_s, 2.0 ** (self.failures - 1))

    def succeeded(self, took_s: float = 0.0) -> None:
        """Wait ten times as long as it took: a slow controller is a busy one."""
        self.failures = 0
        self._due = time.monotonic() + min(self._longest_s, 10 * took_s)
