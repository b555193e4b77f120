"""How the head keeps count of answers about a job."""

import pytest
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_job import SnakemakeJob

from snakemake_executor_plugin_submitit.jobs import Request, Submitted
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState

RUNNING = QueuedState("RUNNING")
FAILED = QueuedState("FAILED")
COMPLETED = QueuedState("COMPLETED")


@pytest.fixture
def job() -> Submitted:
    job = SnakemakeJob()
    request = Request(job=job, key="a", fingerprint="f", parameters={}, command="true", restarts=2)
    entry = Entry(key="a", job_id="7", fingerprint="f", restarts=2)
    return Submitted(request, entry, SubmittedJobInfo(job, external_jobid="7"))


def test_answers_in_a_row_that_have_it_ended_are_counted(job: Submitted) -> None:
    for now, state in ((100.0, FAILED), (101.0, None), (104.0, FAILED)):
        job.note(state, is_answered=True, now=now)
    assert job.ended_answers == 3
    assert job.doubtful_s(now=104.0) == 4.0


def test_a_poll_without_an_answer_does_not_count(job: Submitted) -> None:
    job.note(None, is_answered=True, now=100.0)
    job.note(None, is_answered=False, now=101.0)
    assert job.ended_answers == 1
    assert job.doubtful_s(now=101.0) == 1.0


def test_an_answer_that_has_it_alive_starts_the_count_again(job: Submitted) -> None:
    job.note(None, is_answered=True, now=100.0)
    job.note(RUNNING, is_answered=True, now=101.0)
    assert job.ended_answers == 0
    job.note(None, is_answered=True, now=200.0)
    assert job.ended_answers == 1
    assert job.doubtful_s(now=201.0) == 1.0


def test_a_job_that_lives_again_is_not_in_doubt(job: Submitted) -> None:
    """Its failure, an hour later, waits for SLURM's view of it as any other does."""
    job.note(None, is_answered=True, now=100.0)
    job.note(RUNNING, is_answered=True, now=101.0)
    assert job.doubtful_s(now=200.0) == 0.0
    job.outcome = Outcome("failed")
    job.note(RUNNING, is_answered=True, now=3700.0)
    assert job.doubtful_s(now=3701.0) == 1.0


@pytest.mark.parametrize(
    ("states", "asked"),
    [
        ([FAILED, FAILED, None], [True, False, False]),
        ([FAILED, RUNNING, FAILED], [True, False, True]),
        ([None, FAILED], [False, False]),
        ([COMPLETED], [False]),  # as each job for a moment, on a slow file system
        ([RUNNING], [False]),
    ],
)
def test_slurm_is_asked_about_a_failure_before_it_forgets(
    job: Submitted, states: list[QueuedState | None], asked: list[bool]
) -> None:
    seen = []
    for now, state in enumerate(states):
        job.note(state, is_answered=True, now=100.0 + now)
        seen.append(job.has_just_failed(state))
    assert seen == asked


def test_the_time_of_a_failure_is_that_of_its_first_poll(job: Submitted) -> None:
    assert job.doubtful_s(now=100.0) == 0.0
    job.outcome = Outcome("failed")
    job.note(RUNNING, is_answered=True, now=100.0)
    job.note(RUNNING, is_answered=False, now=120.0)
    assert job.doubtful_s(now=130.0) == 30.0


def test_the_next_submission_counts_this_one_and_starts_without_a_pause(job: Submitted) -> None:
    job.request.pause.failed()
    again = job.again(unexplained=1)
    assert again.restarts == 3
    assert again.unexplained == 1
    assert job.again().unexplained == 0
    assert again.pause.is_due
    assert again.job is job.request.job
