"""What SLURM's commands print, as data. Nothing here asks SLURM: `slurm.py` does."""

import math
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

QUEUE_FORMAT = "%i|%T|%r"  # of squeue: id, state, reason
COMMAND_FORMAT = "%F|%T|%o"  # likewise: id of the array, state, script
RESTARTS_FORMAT = "JobArrayID:60,RestartCnt:20"  # likewise, of --Format
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


@dataclass(frozen=True)
class QueuedState:
    """A job as squeue shows it."""

    state: str  # PENDING, RUNNING, ...
    reason: str = ""  # why it waits

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
        job_id, state, reason = line.split("|", 2)
        states[job_id.strip()] = QueuedState(state, reason)
    return states


def restarts(squeue: str) -> dict[str, int]:
    """How often each job was requeued, by id."""
    return {job_id: int(count) for job_id, count in map(str.split, squeue.splitlines())}


def jobs_of_scripts(squeue: str, scripts: Collection[str]) -> list[str]:
    """The jobs that are alive and whose script has one of these names."""
    found = set()
    for line in squeue.splitlines():
        job_id, state, command = line.split("|", 2)
        if state not in ENDED and command.strip().rpartition("/")[2] in scripts:
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
