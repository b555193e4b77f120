"""Whose words are these: which start of a job is believed, and whose job an id in the queue is."""

from typing import Any

import pytest

from snakemake_executor_plugin_submitit.decision import of_newest_start, own_state
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState

Words = tuple[
    str, QueuedState | None, int, bool
]  # what SLURM shows, the start that spoke, believed

RECORDS: list[Words] = [
    ("the first start, which runs", QueuedState("RUNNING", restarts=0), 0, True),
    ("the first start, which has ended", QueuedState("COMPLETED", restarts=0), 0, True),
    ("the first start, and it is to start again", QueuedState("PENDING", restarts=1), 0, False),
    ("the first start, while the second one runs", QueuedState("RUNNING", restarts=1), 0, False),
    ("the first start, and the second one has failed", QueuedState("FAILED", restarts=1), 0, False),
    ("the second start, which was requeued", QueuedState("PENDING", restarts=2), 1, False),
    ("the third start", QueuedState("RUNNING", restarts=2), 2, True),
    # The answer is of before the requeue, or SLURM counts otherwise: nobody is newer.
    ("a start that SLURM does not know yet", QueuedState("RUNNING", restarts=1), 2, True),
    # Nothing newer has begun, or `Results` would not have told: what is there is whole.
    ("SLURM has forgotten the job, or not answered yet", None, 0, True),
    ("SLURM does not count", QueuedState("RUNNING"), 3, True),
]  # fmt: skip


@pytest.mark.parametrize("status", ["done", "failed", "interrupted"])
@pytest.mark.parametrize(
    ("state", "restarts", "is_believed"), [pytest.param(*row[1:], id=row[0]) for row in RECORDS]
)
def test_which_start_is_believed(
    state: QueuedState | None, restarts: int, is_believed: bool, status: Any
) -> None:
    outcome = Outcome(status, restarts=restarts)
    assert of_newest_start(outcome, state) == (outcome if is_believed else None)
    assert of_newest_start(None, state) is None


@pytest.mark.parametrize(
    ("shown", "submission", "is_ours"),
    [
        (QueuedState("RUNNING", submission="s"), "s", True),
        (QueuedState("RUNNING", submission="t"), "s", False),  # a rebuilt controller's
        (QueuedState("RUNNING"), "s", True),  # nobody says whose it is
        (QueuedState("RUNNING", submission="jobs"), "", True),  # of a version without names
        (None, "s", False),
    ],
)
def test_whose_job_an_id_in_the_queue_is(
    shown: QueuedState | None, submission: str, is_ours: bool
) -> None:
    assert own_state(shown, submission) == (shown if is_ours else None)
