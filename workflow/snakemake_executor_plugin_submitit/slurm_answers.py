"""What SLURM's commands print, as data. Nothing here asks SLURM: `slurm.py` does."""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from snakemake_executor_plugin_submitit import internals

# Of squeue. What is longer is cut off, so that columns stand where they should; the number of
# restarts has no short form as `%T` of the state.
QUEUE_COLUMNS = {"JobArrayID": 40, "State": 30, "RestartCnt": 10, "Reason": 200, "Command": 1024}
QUEUE_FORMAT = ",".join(f"{name}:{width}" for name, width in QUEUE_COLUMNS.items())
COMMAND_FORMAT = "%F|%T|%o"  # likewise: id of the array, state, script
ACCOUNTING_COLUMNS = "State,ExitCode,NodeList"  # of sacct

ENDED = {
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


# Of nodes; some of them come back, and jobs that need these nodes wait in the queue.
OUT_OF_SERVICE = {
    *("DOWN", "DRAIN", "DRAINED", "DRAINING", "FAIL", "FAILING", "MAINT", "MAINTENANCE"),
    *("NOT_RESPONDING", "REBOOT", "REBOOT_ISSUED", "REBOOT_REQUESTED", "UNKNOWN"),
}


@dataclass(frozen=True)
class QueuedState:
    """A job as squeue shows it."""

    state: str  # PENDING, RUNNING, ...
    reason: str = ""  # why it waits
    restarts: int | None = None  # None: it is not said
    submission: str = ""  # the name of its submission; empty if it is not said

    @property
    def is_alive(self) -> bool:
        """Whether the job waits, runs, ends or is about to be requeued."""
        return self.state not in ENDED


@dataclass(frozen=True)
class Ending:
    """How a job ended, as far as SLURM remembers."""

    state: str = "UNKNOWN"
    exit_code: str = ""  # code:signal
    node: str = ""


def queued_states(squeue: str) -> dict[str, QueuedState]:
    """The jobs in an answer of squeue, by id."""
    states = {}
    for line in squeue.splitlines():
        columns, start = [], 0
        for width in QUEUE_COLUMNS.values():
            columns.append(line[start : start + width].strip())
            start += width
        job_id, state, restarts, reason, command = columns
        if len(command) >= QUEUE_COLUMNS["Command"]:
            command = ""
        states[job_id] = QueuedState(state, reason, int(restarts), internals.submission_of(command))
    return states


def jobs_of_submissions(squeue: str, submissions: Collection[str]) -> list[str]:
    """The jobs that are alive and of these submissions."""
    found = set()
    for line in squeue.splitlines():
        job_id, state, command = line.split("|", 2)
        if state not in ENDED and internals.submission_of(command.strip()) in submissions:
            found.add(job_id.strip())
    return sorted(found, key=int)


def accounted_ending(sacct: str) -> Ending | None:
    """How a job ended, from an answer of sacct; None if it does not say, or says it goes on."""
    fields = sacct.splitlines()[-1].split("|") if sacct else []
    if len(fields) == 3 and fields[0].split(" ")[0] in ENDED:  # "CANCELLED by 1000"
        return Ending(*fields)
    return None


def remembered_ending(scontrol: str) -> Ending | None:
    """How a job ended, from `scontrol show job`; None if it does not say, or says it goes on."""
    fields = _fields(scontrol)
    if (state := fields.get("JobState", "")) in ENDED:
        return Ending(state, fields.get("ExitCode", ""), fields.get("NodeList", ""))
    return None


def configuration(scontrol: str) -> Mapping[str, str]:
    """SLURM's own settings by name, from `scontrol show config`."""
    return {
        name.strip(): value.strip()
        for name, _, value in (line.partition("=") for line in scontrol.splitlines())
    }


def array_limit(settings: Mapping[str, str]) -> int | None:
    """How many tasks one array may have, 1 where there are no arrays; None if it is not said."""
    tasks = re.search(r"\bmax_array_tasks=(\d+)", settings.get("SchedulerParameters", ""))
    sizes = [settings.get("MaxArraySize", ""), tasks[1] if tasks else ""]
    said = [int(size) for size in sizes if size.isdecimal()]
    return max(1, min(said)) if said else None  # 0 switches arrays off


def time_limits(scontrol: str, names: str | None) -> list[float]:
    """The longest time limits in minutes, from `scontrol show partition`, a line for each.

    Of the partitions named (`a,b`), or of the default one if `names` is None.
    """
    return [minutes(fields["MaxTime"]) for fields in _partitions(scontrol, names)]


def default_times(scontrol: str, names: str | None) -> list[float]:
    """The time limits in minutes of jobs that ask for none; arguments as for `time_limits`."""
    return [
        minutes(fields["MaxTime" if fields["DefaultTime"] == "NONE" else "DefaultTime"])
        for fields in _partitions(scontrol, names)
    ]


def out_of_service(scontrol: str, names: str | None, default: str | None) -> list[str]:
    """The nodes that take no jobs at present, from `scontrol show node`, a line for each.

    Of the partitions named (`a,b`), or of `default` if `names` is None.
    """
    wanted = set((names or default or "").split(","))
    found = []
    for line in scontrol.splitlines():
        fields = _fields(line)
        flags = set(re.split(r"[+*~#!%$@^-]", fields.get("State", "")))
        if flags & OUT_OF_SERVICE and wanted & set(fields.get("Partitions", "").split(",")):
            found.append(fields["NodeName"])
    return found


def default_partition(scontrol: str) -> str | None:
    """The partition of jobs that name none, from `scontrol show partition`."""
    return next((fields["PartitionName"] for fields in _partitions(scontrol, None)), None)


def _partitions(scontrol: str, names: str | None) -> Iterator[dict[str, str]]:
    for line in scontrol.splitlines():
        fields = _fields(line)
        is_named = fields["PartitionName"] in names.split(",") if names else False
        if is_named or (names is None and fields["Default"] == "YES"):
            yield fields


def minutes(text: str) -> float:
    """Minutes of SLURM's `days-hours:minutes:seconds`."""
    if text == "UNLIMITED":
        return math.inf
    days, _, clock = text.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return 1440 * int(days or 0) + 60 * hours + minutes + seconds / 60


def _fields(text: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+)=(\S*)", text))
