"""Jobs that have ended for the head, and that SLURM still has."""

import pytest
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_job import SnakemakeJob

from snakemake_executor_plugin_submitit import departing
from snakemake_executor_plugin_submitit.departing import LEAVE_S, Departing
from snakemake_executor_plugin_submitit.jobs import Request, Submitted
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm import QueryError
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState

RUNNING = QueuedState("RUNNING", restarts=0, submission="s")
REQUEUED = QueuedState("PENDING", "BeginTime", restarts=1, submission="s")
RUNS_AGAIN = QueuedState("RUNNING", restarts=1, submission="s")
COMPLETING = QueuedState("COMPLETING", restarts=0, submission="s")
COMPLETED = QueuedState("COMPLETED", restarts=0, submission="s")


def ended(status: str = "done") -> Submitted:
    job = SnakemakeJob()
    entry = Entry(key="a", job_id="7", submission="s", fingerprint="f")
    request = Request(job=job, key="a", fingerprint="f", parameters={}, command="true")
    outcome = Outcome(status)  # type: ignore[arg-type]
    return Submitted(request, entry, SubmittedJobInfo(job, external_jobid="7"), outcome=outcome)


@pytest.mark.parametrize(
    ("status", "after_s", "state", "cancelled"),
    [
        ("done", 0.0, RUNNING, []),  # as each job for a moment
        ("done", LEAVE_S - 0.1, COMPLETING, []),
        ("done", LEAVE_S, RUNNING, ["7"]),  # its node does not answer
        ("done", LEAVE_S, COMPLETED, []),
        ("done", LEAVE_S, None, []),
        ("done", 0.0, REQUEUED, ["7"]),
        ("done", LEAVE_S, RUNS_AGAIN, ["7"]),
        ("failed", 0.0, RUNNING, ["7"]),
        ("failed", 0.0, COMPLETED, []),
    ],
)
def test_what_slurm_still_has_is_cancelled(
    status: str, after_s: float, state: QueuedState | None, cancelled: list[str]
) -> None:
    jobs = Departing()
    jobs.add(ended(status), RUNNING, now=100.0)
    assert list(jobs) == ["7"]
    left = jobs.overdue(lambda entry: state, now=100.0 + after_s)
    assert [entry.job_id for entry in left] == cancelled
    if cancelled or not (state and state.is_alive):
        assert list(jobs) == []


@pytest.mark.parametrize("state", [COMPLETED, None])
def test_what_has_ended_for_slurm_too_is_not_followed(state: QueuedState | None) -> None:
    jobs = Departing()
    jobs.add(ended(), state, now=100.0)
    assert list(jobs) == []


@pytest.mark.parametrize(
    ("answers", "left"),
    [
        ([{"7": RUNNING}, {"7": COMPLETING}], []),
        ([{"7": RUNNING}, {}], []),
        ([{"7": QueuedState("RUNNING", restarts=0, submission="of another job")}], []),
        ([{"7": RUNNING}, {"7": REQUEUED}], ["7"]),
        ([{"7": RUNNING}], ["7"]),
        ([None], []),  # a start to come finds itself unwanted
    ],
)
def test_at_the_end_of_the_head_jobs_get_a_moment(
    monkeypatch: pytest.MonkeyPatch,
    answers: list[dict[str, QueuedState] | None],
    left: list[str],
) -> None:
    def queued_states() -> dict[str, QueuedState]:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if answer is None:
            raise QueryError("unable to contact slurm controller")
        return answer

    monkeypatch.setattr(departing.slurm, "queued_states", queued_states)
    monkeypatch.setattr(departing, "LEAVE_AT_THE_END_S", 0.3)
    monkeypatch.setattr(departing, "POLL_S", 0.01)
    jobs = Departing()
    jobs.add(ended(), RUNNING, now=100.0)
    assert [entry.job_id for entry in jobs.left_at_the_end()] == left
