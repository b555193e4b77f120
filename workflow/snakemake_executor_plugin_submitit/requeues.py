"""Why a job was requeued, as the job says in its log just before, for the head to read."""

import re

ANNOUNCED = re.compile(r"^Requeued at start (\d+): (.*)$", re.MULTILINE)
BY_SLURM = "by SLURM (its node failed, or it was preempted)"


def announce(restarts: int, *, is_early: bool) -> None:
    """Say in the job's log why it is about to be requeued; early: long before its time limit."""
    reason = "preempted" if is_early else "time limit"
    print(f"Requeued at start {restarts}: {reason}", flush=True)


def reason(log_end: str, restarts: int) -> str:
    """Why a job was requeued that has now been restarted so often."""
    announced = ANNOUNCED.findall(log_end)
    if announced and int(announced[-1][0]) == restarts - 1:
        return str(announced[-1][1])
    return BY_SLURM


def times(number: int) -> str:
    """`the 3rd time`."""
    last = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"the {number}{last or 'th'} time"
