"""What to do about a job, decided from facts alone: no clock, no files, no queries to SLURM.

The executor gathers the facts, calls `decide` or `succession`, and acts on the verdict.
"""

import signal
from dataclasses import dataclass
from enum import Enum, auto

from snakemake_executor_plugin_submitit import report, waiting
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm_answers import Ending, QueuedState

# A job that is being requeued looks ended for a moment; so do all jobs when a controller restarts.
CONFIRMING_ANSWERS = 3
CONFIRMED_AFTER_S = 8.0
UNCONFIRMED_FAILURE_S = 30.0  # how long a failure waits for SLURM's view of it
UNEXPLAINED_RETRIES = 2  # in a row
NOT_THE_JOBS_FAULT = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED"}
# How SLURM shows a job that SIGUSR2 killed before it had a handler: directly, or through a shell.
SIGNALLED_TOO_EARLY = {f"0:{signal.SIGUSR2:d}", f"{128 + signal.SIGUSR2}:0"}
KILLED = {f"0:{signal.SIGKILL:d}", f"{128 + signal.SIGKILL}:0"}
HELD_AFTER_REQUEUES = "JobHoldMaxRequeue"


# --- What is known of a job -----------------------------------------------------------------------


def own_state(shown: QueuedState | None, submission: str) -> QueuedState | None:
    """The job under an id in the queue, if it is this submission's; None if it is not there.

    A controller that was rebuilt gives its ids away again, and so does this machine.
    """
    if shown is not None and submission and shown.submission not in ("", submission):
        return None
    return shown


def of_newest_start(outcome: Outcome | None, state: QueuedState | None) -> Outcome | None:
    """What a job says of itself, unless SLURM has started it again, or is about to.

    `Results` has left out what a newer start has claimed: where SLURM knows nothing, that is
    believed. A start that has not begun yet finds itself unwanted once the outcome was accepted.
    """
    if outcome is None or state is None or state.restarts is None:
        return outcome
    return None if state.restarts > outcome.restarts else outcome


# --- A job that was submitted ---------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class HowItEnded:
    """Facts that take a query to SLURM and a look at files; few jobs need them."""

    ending: Ending  # as SLURM remembers it; "GONE" where there is no SLURM
    can_resume: bool  # something in the job saves its state on SIGUSR2
    log_end: str  # the last part of what the job printed


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that is known of a submitted job."""

    on_slurm: bool
    outcome: Outcome | None  # what its newest start says of itself; None: nothing yet
    is_answered: bool  # SLURM has answered at this poll
    state: QueuedState | None  # the job in SLURM's last answer; None: it is not there
    ended_answers: int  # how many answers in a row showed the job as ended, or not at all
    doubtful_s: float  # time since the first of these answers, or since the failure was read
    latency_wait_s: float  # how long a file may take to be seen here
    restarts: int  # how often SLURM has started it again
    submissions_before: int
    unexplained_before: int  # of these, the last ones that ended and nobody knew why
    requeue_limit: int
    how_it_ended: HowItEnded | None = None  # None: not asked yet


@dataclass(frozen=True)
class Wait:
    """Leave the job alone until the next poll."""


@dataclass(frozen=True)
class Release:
    """Let the job run: SLURM holds a job that was requeued many times."""


@dataclass(frozen=True)
class Warn:
    """Tell the user that the job will not start by itself."""

    reason: str


@dataclass(frozen=True)
class AskHowItEnded:
    """Decide again, with `how_it_ended`."""


@dataclass(frozen=True)
class Done:
    """Report success."""


@dataclass(frozen=True)
class Resubmit:
    """Submit the job again under a new id: it was interrupted."""

    reason: str
    unexplained: int = 0  # how often in a row nobody knew why, this time included


@dataclass(frozen=True)
class Fail:
    """Report failure."""

    reason: str


Verdict = Wait | Release | Warn | AskHowItEnded | Done | Resubmit | Fail


def decide(job: Facts) -> Verdict:
    """What to do about a submitted job at this poll."""
    if job.outcome is None:
        return _without_outcome(job)
    if job.outcome.status == "done":
        return Done()
    if job.outcome.status == "interrupted":
        return _resubmit(job, job.outcome.detail)
    return _failed(job, job.outcome)


def _without_outcome(job: Facts) -> Verdict:
    if not job.is_answered:
        return Wait()
    if job.state is not None and job.state.is_alive:
        return _alive(job.state)
    patience_s = CONFIRMED_AFTER_S
    if job.state is None or job.state.state == "COMPLETED":  # the outcome may be on its way
        patience_s += job.latency_wait_s
    if job.ended_answers < CONFIRMING_ANSWERS or job.doubtful_s < patience_s:
        return Wait()
    if job.how_it_ended is None:
        return AskHowItEnded()
    if _was_interrupted(job.how_it_ended, on_slurm=job.on_slurm):
        return _resubmit(job, job.how_it_ended.ending.state)
    reason = report.reason(None, job.how_it_ended.ending, job.how_it_ended.log_end)
    if _is_unexplained(job.how_it_ended, job.restarts):
        times = job.unexplained_before + 1
        if times <= UNEXPLAINED_RETRIES:
            return _resubmit(job, job.how_it_ended.ending.state, unexplained=times)
        reason += f", {times} times in a row"
    return Fail(reason)


def _alive(state: QueuedState) -> Verdict:
    if state.reason == HELD_AFTER_REQUEUES:
        return Release()
    reason = waiting.trouble(state)
    return Warn(reason) if reason else Wait()


def _was_interrupted(how: HowItEnded, *, on_slurm: bool) -> bool:
    """Whether a job that left no outcome ended through no fault of its own."""
    if not on_slurm:
        return how.can_resume
    return how.ending.state in NOT_THE_JOBS_FAULT or (
        how.ending.state == "TIMEOUT" and how.can_resume
    )


def _is_unexplained(how: HowItEnded, restarts: int) -> bool:
    """Whether nobody can tell: the job's fault, or a site's that forgets jobs or signals early.

    Or that kills the step of a later start with that of an earlier one, on a node that came back.
    """
    if how.ending.exit_code in SIGNALLED_TOO_EARLY:
        return True
    is_killed = restarts > 0 and how.ending.exit_code in KILLED
    return (how.ending.state == "UNKNOWN" or is_killed) and not report.says_why(how.log_end)


def _resubmit(job: Facts, reason: str, *, unexplained: int = 0) -> Verdict:
    if job.submissions_before < job.requeue_limit:
        return Resubmit(reason, unexplained)
    if job.how_it_ended is None:
        return AskHowItEnded()
    outcome = Outcome("failed", f"resubmitted {job.submissions_before} times; now: {reason}")
    return Fail(report.reason(outcome, Ending(), job.how_it_ended.log_end))


def _failed(job: Facts, outcome: Outcome) -> Verdict:
    """A failure is reported once SLURM shows the job as ended: it may then know the cause."""
    is_over = job.is_answered and (job.state is None or not job.state.is_alive)
    if job.on_slurm and not is_over and job.doubtful_s < UNCONFIRMED_FAILURE_S:
        return Wait()
    if job.how_it_ended is None:
        return AskHowItEnded()
    return Fail(report.reason(outcome, job.how_it_ended.ending, job.how_it_ended.log_end))


# --- A job that is about to be submitted ----------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """A job that the ledger has for the outputs of one that is to be submitted."""

    is_same: bool  # it has the same parameters and inputs
    is_cancelled: bool  # a head cancelled it: it is about to end
    outcome: Outcome | None  # of its newest start
    has_outputs: bool  # it is done, and all its outputs exist
    is_forced: bool  # it is done, and the user wants its outputs made again
    is_done_since_start: bool  # it was done after this head had started
    is_answered: bool  # SLURM has answered since this head started
    state: QueuedState | None


class Succession(Enum):
    """What to do about a job when an earlier one was submitted for the same outputs."""

    SUBMIT = auto()  # the earlier one has ended without outputs that can be used
    ACCEPT = auto()  # the earlier one has made the outputs
    ADOPT = auto()  # the earlier one is still to make the outputs: watch it
    WAIT = auto()  # it is not known yet whether the earlier one is alive
    CANCEL = auto()  # the earlier one must end first: cancel it, and look again


def succession(earlier: Earlier) -> Succession:
    """What to do about a job to be submitted: no two jobs may make the same outputs at once."""
    is_wanted = earlier.is_same and not earlier.is_cancelled
    if earlier.outcome is not None:
        is_made = is_wanted and earlier.outcome.status == "done" and earlier.has_outputs
        is_new_enough = not earlier.is_forced or earlier.is_done_since_start
        return Succession.ACCEPT if is_made and is_new_enough else Succession.SUBMIT
    if not earlier.is_answered:
        return Succession.WAIT
    if earlier.state is None or not earlier.state.is_alive:
        return Succession.SUBMIT
    return Succession.ADOPT if is_wanted else Succession.CANCEL
