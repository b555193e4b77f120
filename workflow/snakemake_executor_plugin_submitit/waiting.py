"""Jobs that will not start by themselves: why, what helps, and whether that was said already."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from snakemake_executor_plugin_submitit.slurm_answers import QueuedState

HELD_STATES = {"REQUEUE_HOLD", "SPECIAL_EXIT"}

# SLURM's reasons (`squeue --format=%r`), and what helps. Not here is what passes by itself: others'
# jobs, limits that count several jobs, and "ReqNodeNotAvail, May be reserved for other job".
REMEDIES = {
    r"JobHeldUser|job requeued in (held|special exit) state|REQUEUE_HOLD|SPECIAL_EXIT": (
        "let it run: scontrol release {ids}"
    ),
    r"launch failed requeued held|JobLaunchFailure": (
        "a node failed to start it (its prolog?): tell the site, then: scontrol release {ids}"
    ),
    r"JobHeldAdmin": "an administrator has to let it run: scontrol release {ids}",
    r"PartitionDown|PartitionInactive": (
        "it starts when the site opens the partition again; or move it: "
        "scontrol update JobId={ids} Partition=NAME"
    ),
    r"PartitionTimeLimit|(QOS|Assoc)MaxWall\w*|AssociationTimeLimit|QOSTimeLimit": (
        "too long for one job: give the rule a shorter runtime, and the job: "
        "scontrol update JobId={ids} TimeLimit=MINUTES"
    ),
    r"ReqNodeNotAvail, Reserved for maintenance": (
        "it would run into a maintenance and starts after it; a shorter runtime may fit before: "
        "scontrol update JobId={ids} TimeLimit=MINUTES"
    ),
    r"ReqNodeNotAvail(?!, May be reserved)|NodeDown": (
        "the nodes it needs are down, drained or reserved: it starts when one is back "
        "(sinfo --list-reasons); or ask for other nodes"
    ),
    r"(QOS|Assoc)Max\w+Per(Job|Node)(Limit)?|MaxMemPerLimit|PartitionNodeLimit|PartitionConfig": (
        "it asks for more than one job may have: ask for less, after scancel {ids}"
    ),
    r"QOSMin\w+": "it asks for less than its QOS wants: ask for more, after scancel {ids}",
    r"(QOS|Assoc)Grp\w+(?<!Run)Minutes(Limit)?|QOSUsageThreshold": (
        "the budget of its account or QOS is used up: it starts when that is renewed"
    ),
    r"BadConstraints": (
        "no node has what it asks for: change constraint, gpu_model or exclude, after scancel {ids}"
    ),
    r"InvalidAccount|AccountNotAllowed|InvalidQOS|QOSNotAllowed|AccountingPolicy": (
        "it may not use this account or QOS here: ask for another, after scancel {ids}"
    ),
    r"DependencyNeverSatisfied|ReservationDeleted": (
        "what it waits for will not come: scancel {ids}"
    ),
}


def trouble(state: QueuedState) -> str | None:
    """Why a job in the queue does not start by itself, in SLURM's words; None if it does."""
    # Some versions print the reason with underscores, or in parentheses.
    reason = state.reason.strip("()")
    if reason[:1].islower():
        reason = reason.replace("_", " ")
    if state.state in HELD_STATES and remedy(reason) is None:
        return state.state
    return reason if remedy(reason) else None


def remedy(reason: str) -> str | None:
    """What helps a job that waits for this reason; None if time does."""
    for pattern, help_ in REMEDIES.items():
        if re.match(rf"(?:{pattern})(?:\W|$)", reason):
            return help_
    return None


def joined(job_ids: Iterable[str]) -> str:
    """Ids as SLURM's commands take them: `7,12_[0-3,5]`."""
    pairs = sorted(
        (int(array), int(task) if task else -1)
        for array, _, task in (job_id.partition("_") for job_id in job_ids)
    )
    parts = []
    for array, members in groupby(pairs, key=lambda pair: pair[0]):
        tasks = [task for _, task in members]
        if tasks == [-1]:
            parts.append(str(array))
        else:
            parts.append(f"{array}_{tasks[0]}" if len(tasks) == 1 else f"{array}_[{_runs(tasks)}]")
    return ",".join(parts)


class StuckJobs:
    """What was said of jobs that do not start, and what is still to be said."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}  # the kind of reason, by job id
        self._new: list[tuple[str, str, str]] = []  # reason, rule, job id

    def note(self, job_id: str, rule: str, reason: str) -> None:
        """A job waits for this reason, which time will not mend."""
        kind = reason.partition(",")[0]  # the nodes after it come and go
        if self._said.get(job_id) != kind:
            self._said[job_id] = kind
            self._new.append((reason, rule, job_id))

    def forget(self, job_id: str) -> None:
        """A job runs, or has ended."""
        self._said.pop(job_id, None)

    @property
    def has_news(self) -> bool:
        """Whether there is something new to say."""
        return bool(self._new)

    def messages(self) -> Iterator[str]:
        """What is new since the last call: a line for each reason."""
        new, self._new = sorted(self._new), []
        for reason, group in groupby(new, key=lambda item: item[0]):
            members = list(group)
            ids = [job_id for _, _, job_id in members]
            rules = ", ".join(sorted({rule for _, rule, _ in members}))
            jobs = f"{len(ids)} job{'s' if len(ids) > 1 else ''} ({joined(ids)})"
            help_ = (remedy(reason) or "").format(ids=joined(ids))
            yield f"{jobs} of {rules} cannot start: {reason}: {help_}"


def _runs(numbers: list[int]) -> str:
    """`0-3,5` for sorted numbers."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
