"""Asking SLURM, with commands that answer what a test wants: who is asked when, and who after."""

import pytest

from snakemake_executor_plugin_submitit import queue_view, slurm
from snakemake_executor_plugin_submitit.backoff import Backoff
from snakemake_executor_plugin_submitit.notices import Notices
from snakemake_executor_plugin_submitit.queue_view import QueueView
from snakemake_executor_plugin_submitit.slurm import QueryError
from snakemake_executor_plugin_submitit.slurm_answers import Ending, QueuedState

# --- How a job ended ------------------------------------------------------------------------------

SEEN = QueuedState("FAILED")
SACCT = "TIMEOUT|0:0|n1\n"
SCONTROL = "JobId=7 JobState=NODE_FAIL ExitCode=0:0 NodeList=n2\n"


@pytest.mark.parametrize(
    ("answers", "seen", "ending"),
    [
        ({"sacct": SACCT, "scontrol": SCONTROL}, SEEN, Ending("TIMEOUT", "0:0", "n1")),
        ({"sacct": "", "scontrol": SCONTROL}, SEEN, Ending("NODE_FAIL", "0:0", "n2")),
        ({"scontrol": SCONTROL}, SEEN, Ending("NODE_FAIL", "0:0", "n2")),
        ({"sacct": "RUNNING|0:0|n1\n"}, SEEN, Ending("FAILED")),
        ({"sacct": "", "scontrol": "JobId=7 JobState=PENDING\n"}, SEEN, Ending("FAILED")),
        ({}, None, Ending("UNKNOWN")),
    ],
    ids=[
        "the accounting knows most",
        "the controller knows what the accounting does not yet",
        "there is no accounting",
        "the accounting is late and the controller away: as the queue showed it",
        "both are late: as the queue showed it",
        "nobody knows",
    ],
)
def test_who_knows_how_a_job_ended(
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[str, str],
    seen: QueuedState | None,
    ending: Ending,
) -> None:
    def ask(command: str, *arguments: str) -> str:
        assert arguments[-1] == "7"
        if command not in answers:
            raise QueryError(f"{command} does not answer")
        return answers[command]

    monkeypatch.setattr(slurm, "_ask", ask)
    assert slurm.ending("7", seen) == ending


def let_slurm_answer(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    """Have each question answered with this, or, None, not at all."""

    def ask(*command: str) -> str:
        if answer is None:
            raise QueryError("unable to contact slurm controller")
        return answer

    monkeypatch.setattr(slurm, "_ask", ask)


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ("KillWait                = 5 sec\n", 5.0),
        ("KillWait = ?\n", 30.0),
        ("", 30.0),
        (None, 30.0),
    ],
)
def test_how_long_slurm_waits_with_its_kill(
    monkeypatch: pytest.MonkeyPatch, answer: str | None, seconds: float
) -> None:
    let_slurm_answer(monkeypatch, answer)
    assert slurm.kill_wait_s() == seconds


# --- Settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "limit"), [("MaxArraySize = 51\n", 51), (None, None)])
def test_the_limit_of_arrays_is_not_known_while_slurm_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, answer: str | None, limit: int | None
) -> None:
    let_slurm_answer(monkeypatch, answer)
    assert slurm.array_limit() == limit


def test_partitions_are_asked_once_for_their_default_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[str | None] = [
        None,
        "PartitionName=a Default=YES DefaultTime=NONE MaxTime=02:00:00\n"
        "PartitionName=b Default=NO DefaultTime=00:30:00 MaxTime=UNLIMITED\n",
    ]

    def ask(*command: str) -> str:
        if (answer := answers.pop(0)) is None:
            raise QueryError("unable to contact slurm controller")
        return answer

    monkeypatch.setattr(slurm, "_ask", ask)
    default_time = slurm.DefaultTimes()
    assert default_time("b") is None  # SLURM is away
    assert [default_time(names) for names in ("b", None, "a,b", "c")] == [30, 120, 30, None]


# --- Cancelling -----------------------------------------------------------------------------------


def test_many_jobs_are_cancelled_in_portions_and_those_that_remain_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[int] = []

    def scancel(job_ids: list[str], pause_s: float) -> bool:
        tries.append(len(job_ids))
        return job_ids[0] != "1000"

    monkeypatch.setattr(slurm, "_scancel", scancel)
    left = slurm.cancel([str(number) for number in range(2500)])
    assert left == [str(number) for number in range(1000, 2000)]
    assert tries == [1000, 1000, 1000, 1000, 500]  # the second portion three times


# --- The queue ------------------------------------------------------------------------------------


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("snakemake_executor_plugin_submitit.backoff.time", clock)
    monkeypatch.setattr(queue_view, "time", clock)
    return clock


def test_pauses_double_up_to_the_longest(clock: Clock) -> None:
    backoff = Backoff(longest_s=5.0)
    pauses = []
    for _ in range(4):
        backoff.failed()
        failed = clock.now
        while not backoff.is_due:
            clock.now += 0.5
        pauses.append(clock.now - failed)
    assert pauses == [1.0, 2.0, 4.0, 5.0]


def test_what_took_long_is_not_asked_again_at_once(clock: Clock) -> None:
    backoff = Backoff()
    backoff.succeeded(took_s=0.5)
    clock.now += 4.9
    assert not backoff.is_due
    clock.now += 0.1
    assert backoff.is_due


def test_the_last_answer_stays_while_slurm_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    answers: list[dict[str, QueuedState] | None] = [{"7": SEEN}, None, None, {}]
    said: list[str] = []

    def queued_states() -> dict[str, QueuedState]:
        if (answer := answers.pop(0)) is None:
            raise QueryError("squeue: unable to contact slurm controller")
        return answer

    monkeypatch.setattr(slurm, "queued_states", queued_states)
    queue = QueueView(on_slurm=True, inform=said.append, notices=Notices(said.append))
    assert not queue.has_answered
    assert queue.state("7") is None
    assert queue.ask(["7"])
    assert queue.has_answered
    assert queue.state("7") == SEEN
    for pause_s in (1, 2):
        assert not queue.ask(["7"])
        assert not queue.ask(["7"])  # which asks nobody: it is too early
        assert queue.state("7") == SEEN
        clock.now += pause_s
    assert queue.ask(["7"])
    assert queue.state("7") is None
    assert said[0] == (
        "submitit: SLURM does not answer, trying again: squeue: unable to contact slurm controller"
    )
    assert said[-1] == "SLURM answers again."


def test_an_answer_that_is_cut_off_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    line = f"{'7':40}{'RUNNING':30}{'0':10}"
    monkeypatch.setattr(slurm, "_ask", lambda *command: f"{line}\n{line[:50]}")
    with pytest.raises(QueryError, match="cut off"):
        slurm.queued_states()


def test_nobody_is_asked_about_no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "queued_states", lambda: pytest.fail("asked"))
    queue = QueueView(on_slurm=True, inform=print, notices=Notices(print))
    assert not queue.ask([])
    assert not queue.has_answered
