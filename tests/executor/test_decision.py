"""What becomes of a job: a row for each combination of what it says, what SLURM says, and when."""

from typing import Any

import pytest

from snakemake_executor_plugin_submitit.decision import (
    AskHowItEnded,
    Done,
    Facts,
    Fail,
    HowItEnded,
    Release,
    Resubmit,
    Verdict,
    Wait,
    Warn,
    decide,
)
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm_answers import Ending, QueuedState

DONE = Outcome("done")
FAILED = Outcome("failed", exit_code=3)
INTERRUPTED = Outcome("interrupted", "not requeued: no")
LATENCY_S = 5.0

# A job without an outcome that has been missing from the queue long enough to ask how it ended.
GONE: dict[str, Any] = {"state": None, "ended_answers": 3, "doubtful_s": 8.0 + LATENCY_S}


def ended(state: str, exit_code: str = "0:0", node: str = "", **rest: Any) -> dict[str, Any]:
    """Facts of a job that left no outcome and that SLURM was asked about."""
    known = {"can_resume": False, "log_end": ""} | rest
    return GONE | {"how_it_ended": HowItEnded(ending=Ending(state, exit_code, node), **known)}


def told(log_end: str = "", ending: Ending | None = None, can_resume: bool = False) -> HowItEnded:
    """What is found out about a job that left an outcome."""
    return HowItEnded(ending=ending or Ending(), can_resume=can_resume, log_end=log_end)


def queued(state: str, reason: str = "None") -> QueuedState:
    return QueuedState(state, reason)


Row = tuple[str, dict[str, Any], Verdict]

SAYS_DONE: list[Row] = [
    ("a job that is done is done", {"outcome": DONE}, Done()),
    ("done, and SLURM does not answer", {"outcome": DONE, "is_answered": False}, Done()),
    ("done, and not in the queue any more", {"outcome": DONE, "state": None}, Done()),
    (
        "done, and its node failed afterwards",
        {"outcome": DONE, "state": queued("NODE_FAIL")},
        Done(),
    ),
    ("done on this machine", {"outcome": DONE, "on_slurm": False, "state": None}, Done()),
    ("done in its last submission", {"outcome": DONE, "submissions_before": 1000}, Done()),
]

SAYS_INTERRUPTED: list[Row] = [
    (
        "a job that could not be requeued is submitted anew",
        {"outcome": INTERRUPTED},
        Resubmit("not requeued: no"),
    ),
    (
        "interrupted, and SLURM does not answer",
        {"outcome": INTERRUPTED, "is_answered": False, "state": None},
        Resubmit("not requeued: no"),
    ),
    (
        "interrupted, one submission below the limit",
        {"outcome": INTERRUPTED, "submissions_before": 999},
        Resubmit("not requeued: no"),
    ),
    (
        "interrupted at the limit: its log is read",
        {"outcome": INTERRUPTED, "submissions_before": 1000},
        AskHowItEnded(),
    ),
    (
        "interrupted at the limit",
        {"outcome": INTERRUPTED, "submissions_before": 1000, "how_it_ended": told()},
        Fail("resubmitted 1000 times; now: not requeued: no"),
    ),
    (
        "interrupted where nothing may be resubmitted",
        {"outcome": INTERRUPTED, "requeue_limit": 0, "how_it_ended": told()},
        Fail("resubmitted 0 times; now: not requeued: no"),
    ),
    (
        "interrupted at the limit, by a lack of memory",
        {"outcome": INTERRUPTED, "requeue_limit": 0, "how_it_ended": told("oom-kill event")},
        Fail("out of memory: raise its mem_mb"),
    ),
]

SAYS_FAILED: list[Row] = [
    ("a failure waits until SLURM has the job as ended", {"outcome": FAILED}, Wait()),
    (
        "failed, and SLURM does not answer",
        {"outcome": FAILED, "is_answered": False, "doubtful_s": 29.9},
        Wait(),
    ),
    (
        "failed, and ended in an answer that is not of this poll",
        {"outcome": FAILED, "is_answered": False, "state": queued("FAILED")},
        Wait(),
    ),
    (
        "failed, and SLURM has not answered for 30 s",
        {"outcome": FAILED, "is_answered": False, "doubtful_s": 30.0},
        AskHowItEnded(),
    ),
    (
        "failed, and completing for 30 s",
        {"outcome": FAILED, "state": queued("COMPLETING"), "doubtful_s": 30.0},
        AskHowItEnded(),
    ),
    ("failed and ended", {"outcome": FAILED, "state": queued("FAILED")}, AskHowItEnded()),
    ("failed and gone from the queue", {"outcome": FAILED, "state": None}, AskHowItEnded()),
    (
        "failed on this machine: nobody else is asked",
        {"outcome": FAILED, "on_slurm": False, "state": queued("RUNNING")},
        AskHowItEnded(),
    ),
    (
        "failed, by the exit code of its Snakemake",
        {"outcome": FAILED, "state": None, "how_it_ended": told()},
        Fail("exit code 3"),
    ),
    (
        "failed, by the exit code of its rule",
        {"outcome": FAILED, "state": None, "how_it_ended": told("non-zero exit code 7")},
        Fail("exit code 7"),
    ),
    (
        "failed, and says why",
        {"outcome": Outcome("failed", "requeued 5 times"), "state": None, "how_it_ended": told()},
        Fail("requeued 5 times"),
    ),
    (
        "failed, out of memory by the accounting",
        {"outcome": FAILED, "state": None, "how_it_ended": told(ending=Ending("OUT_OF_MEMORY"))},
        Fail("out of memory: raise its mem_mb"),
    ),
    (
        "failed, out of memory by its log",
        {"outcome": FAILED, "state": None, "how_it_ended": told("Exceeded job memory limit")},
        Fail("out of memory: raise its mem_mb"),
    ),
    (
        "failed by itself before its node failed: no fault of the node",
        {"outcome": FAILED, "state": None, "how_it_ended": told(ending=Ending("NODE_FAIL"))},
        Fail("exit code 3"),
    ),
    (
        "failed by itself although it could resume",
        {"outcome": FAILED, "state": None, "how_it_ended": told(can_resume=True)},
        Fail("exit code 3"),
    ),
]

LIVES: list[Row] = [
    *(
        (f"{state.lower()}", {"state": queued(state)}, Wait())
        for state in ("PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "STAGE_OUT")
    ),
    ("pending for resources", {"state": queued("PENDING", "Resources")}, Wait()),
    ("held after many requeues", {"state": queued("PENDING", "JobHoldMaxRequeue")}, Release()),
    *(
        (f"waits for somebody: {reason}", {"state": queued("PENDING", reason)}, Warn(reason))
        for reason in (
            "PartitionTimeLimit",
            "BadConstraints",
            "JobHeldAdmin",
            "JobHeldUser",
            "launch failed requeued held",
            "job requeued in held state",
            "PartitionDown",
            "ReqNodeNotAvail, UnavailableNodes:n[1-2]",
            "QOSMaxWallDurationPerJobLimit",
        )
    ),
    ("held by a requeue", {"state": queued("REQUEUE_HOLD")}, Warn("REQUEUE_HOLD")),
    (
        "held, in an answer that is not of this poll",
        {"state": queued("PENDING", "JobHoldMaxRequeue"), "is_answered": False},
        Wait(),
    ),
    (
        "alive again after it looked ended",
        {"state": queued("PENDING"), "ended_answers": 0, "doubtful_s": 100.0},
        Wait(),
    ),
    ("alive on this machine", {"on_slurm": False}, Wait()),
]

LOOKS_ENDED: list[Row] = [
    ("ended once", {"state": queued("FAILED"), "ended_answers": 1}, Wait()),
    (
        "ended in two answers, however long ago",
        {"state": queued("FAILED"), "ended_answers": 2, "doubtful_s": 1000.0},
        Wait(),
    ),
    (
        "ended in many answers within a moment",
        {"state": queued("FAILED"), "ended_answers": 9, "doubtful_s": 7.9},
        Wait(),
    ),
    (
        "ended in three answers over eight seconds",
        {"state": queued("FAILED"), "ended_answers": 3, "doubtful_s": 8.0},
        AskHowItEnded(),
    ),
    (
        "ended for long, but SLURM does not answer now",
        {"state": queued("FAILED"), "ended_answers": 9, "doubtful_s": 99.0, "is_answered": False},
        Wait(),
    ),
    (
        "completed: the outcome may be on its way",
        {"state": queued("COMPLETED"), "ended_answers": 9, "doubtful_s": 8 + LATENCY_S - 0.1},
        Wait(),
    ),
    (
        "completed, and no outcome within the latency of the file system",
        {"state": queued("COMPLETED"), "ended_answers": 9, "doubtful_s": 8 + LATENCY_S},
        AskHowItEnded(),
    ),
    ("gone: the outcome may be on its way", GONE | {"doubtful_s": 8 + LATENCY_S - 0.1}, Wait()),
    ("gone, and no outcome within the latency", GONE, AskHowItEnded()),
    (
        "gone from this machine: the outcome may be on its way",
        GONE | {"on_slurm": False, "doubtful_s": 8.0},
        Wait(),
    ),
    ("gone from this machine", GONE | {"on_slurm": False}, AskHowItEnded()),
]

ENDED_WITHOUT_OUTCOME: list[Row] = [
    *(
        (f"{state}: not the job's fault", ended(state), Resubmit(state))
        for state in ("BOOT_FAIL", "NODE_FAIL", "PREEMPTED")
    ),
    ("nobody knows how it ended", ended("UNKNOWN", exit_code=""), Resubmit("UNKNOWN", 1)),
    (
        "nobody knows, for the second time in a row",
        ended("UNKNOWN", exit_code="") | {"submissions_before": 5, "unexplained_before": 1},
        Resubmit("UNKNOWN", 2),
    ),
    (
        "nobody knows, for the third time in a row",
        ended("UNKNOWN", exit_code="") | {"unexplained_before": 2},
        Fail("it left no result, and SLURM does not remember it, 3 times in a row"),
    ),
    (
        "nobody knows, where nothing may be resubmitted",
        ended("UNKNOWN", exit_code="") | {"requeue_limit": 0},
        Fail("resubmitted 0 times; now: UNKNOWN"),
    ),
    (
        "SLURM does not remember it, but its log says why",
        ended("UNKNOWN", exit_code="", log_end="slurmstepd: error: Detected 1 oom_kill event"),
        Fail("out of memory: raise its mem_mb"),
    ),
    (
        "a failure, after two ends that nobody could explain",
        ended("FAILED", "1:0") | {"unexplained_before": 2},
        Fail("SLURM says FAILED, exit code 1:0"),
    ),
    (
        "SLURM does not remember it, but a line of its setup failed",
        ended("UNKNOWN", exit_code="", log_end="oh\nsetup failed, exit code 1: module load x\n"),
        Fail("its setup failed, exit code 1: module load x"),
    ),
    (
        "its node failed, after two ends that nobody could explain",
        ended("NODE_FAIL") | {"submissions_before": 2, "unexplained_before": 2},
        Resubmit("NODE_FAIL"),
    ),
    (
        "killed by SIGUSR2 each time",
        ended("FAILED", "0:12", "n1") | {"unexplained_before": 2},
        Fail("SLURM says FAILED, exit code 0:12 on n1, 3 times in a row"),
    ),
    ("time limit, and it saves", ended("TIMEOUT", can_resume=True), Resubmit("TIMEOUT")),
    (
        "time limit, and it saves nothing",
        ended("TIMEOUT"),
        Fail("time limit: raise its runtime (only a job that catches SIGUSR2 is resumed)"),
    ),
    (
        "killed by SIGUSR2 before it had a handler",
        ended("FAILED", "0:12"),
        Resubmit("FAILED", 1),
    ),
    ("its shell was killed by SIGUSR2", ended("FAILED", "140:0"), Resubmit("FAILED", 1)),
    (
        "time limit, killed by SIGUSR2 before it had a handler",
        ended("TIMEOUT", "0:12"),
        Resubmit("TIMEOUT", 1),
    ),
    (
        "preempted, killed by SIGUSR2 before it had a handler",
        ended("PREEMPTED", "0:12") | {"unexplained_before": 2},
        Resubmit("PREEMPTED"),
    ),
    (
        "killed by SIGKILL",
        ended("FAILED", "0:9", "n1"),
        Fail("SLURM says FAILED, exit code 0:9 on n1"),
    ),
    (
        "killed after SLURM started it again: perhaps with an older start",
        ended("FAILED", "137:0", "n1") | {"restarts": 1},
        Resubmit("FAILED", 1),
    ),
    (
        "killed after SLURM started it again, for its memory",
        ended("FAILED", "137:0", log_end="Detected 1 oom_kill event") | {"restarts": 1},
        Fail("out of memory: raise its mem_mb"),
    ),
    (
        "failed by itself after SLURM started it again",
        ended("FAILED", "1:0", "n1") | {"restarts": 1},
        Fail("SLURM says FAILED, exit code 1:0 on n1"),
    ),
    (
        "failed without an outcome, although it saves",
        ended("FAILED", "1:0", "n1", can_resume=True),
        Fail("SLURM says FAILED, exit code 1:0 on n1"),
    ),
    (
        "cancelled by somebody, although it saves",
        ended("CANCELLED by 1000", can_resume=True),
        Fail("SLURM says CANCELLED by 1000"),
    ),
    ("past its deadline", ended("DEADLINE"), Fail("SLURM says DEADLINE")),
    ("completed without an outcome", ended("COMPLETED"), Fail("SLURM says COMPLETED")),
    (
        "out of memory, although it saves",
        ended("OUT_OF_MEMORY", "0:125", can_resume=True),
        Fail("out of memory: raise its mem_mb"),
    ),
    (
        "failed, out of memory by its log",
        ended("FAILED", "0:9", log_end="slurmstepd: error: Detected 1 oom_kill event"),
        Fail("out of memory: raise its mem_mb"),
    ),
    (
        "its node failed, whatever its log says",
        ended("NODE_FAIL", log_end="slurmstepd: error: Detected 1 oom_kill event"),
        Resubmit("NODE_FAIL"),
    ),
    (
        "its node failed in the last submission",
        ended("NODE_FAIL") | {"submissions_before": 1000},
        Fail("resubmitted 1000 times; now: NODE_FAIL"),
    ),
    (
        "gone from this machine, and it saves",
        ended("GONE", can_resume=True) | {"on_slurm": False},
        Resubmit("GONE"),
    ),
    (
        "gone from this machine, and it saves nothing",
        ended("GONE") | {"on_slurm": False},
        Fail("its process ended without leaving a result"),
    ),
]

ROWS = SAYS_DONE + SAYS_INTERRUPTED + SAYS_FAILED + LIVES + LOOKS_ENDED + ENDED_WITHOUT_OUTCOME


@pytest.mark.parametrize(("facts", "verdict"), [pytest.param(*row[1:], id=row[0]) for row in ROWS])
def test_a_submitted_job(facts: dict[str, Any], verdict: Verdict) -> None:
    job = Facts(
        **{
            "on_slurm": True,
            "outcome": None,
            "is_answered": True,
            "state": queued("RUNNING"),
            "ended_answers": 0,
            "doubtful_s": 0.0,
            "latency_wait_s": LATENCY_S,
            "restarts": 0,
            "submissions_before": 0,
            "unexplained_before": 0,
            "requeue_limit": 1000,
        }
        | facts
    )
    assert decide(job) == verdict
