"""What becomes of a job when the ledger has an earlier one for the same outputs, row by row."""

from typing import Any

import pytest

from snakemake_executor_plugin_submitit.decision import Earlier, Succession, succession
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState

DONE = Outcome("done")
FAILED = Outcome("failed", exit_code=3)
INTERRUPTED = Outcome("interrupted", "not requeued: no")

# Of an earlier job with the same parameters and inputs that runs: what is different.
EARLIER: list[tuple[str, dict[str, Any], Succession]] = [
    ("it runs", {}, Succession.ADOPT),
    ("it waits", {"state": QueuedState("PENDING")}, Succession.ADOPT),
    ("it is about to be requeued", {"state": QueuedState("REQUEUED")}, Succession.ADOPT),
    ("it runs with other inputs", {"is_same": False}, Succession.CANCEL),
    ("it was cancelled and saves its state", {"is_cancelled": True}, Succession.CANCEL),
    ("SLURM has not answered yet", {"is_answered": False, "state": None}, Succession.WAIT),
    (
        "SLURM has not answered yet, and its inputs have changed",
        {"is_answered": False, "state": None, "is_same": False},
        Succession.WAIT,
    ),
    ("SLURM has forgotten it", {"state": None}, Succession.SUBMIT),
    ("it ended without an outcome", {"state": QueuedState("NODE_FAIL")}, Succession.SUBMIT),
    ("it was cancelled, and has ended", {"is_cancelled": True, "state": None}, Succession.SUBMIT),
    ("it is done", {"outcome": DONE}, Succession.ACCEPT),
    (
        "it is done, and SLURM has not answered yet",
        {"outcome": DONE, "is_answered": False, "state": None},
        Succession.ACCEPT,
    ),
    ("it is done, with other inputs", {"outcome": DONE, "is_same": False}, Succession.SUBMIT),
    ("it is done, but was cancelled", {"outcome": DONE, "is_cancelled": True}, Succession.SUBMIT),
    ("an output is missing", {"outcome": DONE, "has_outputs": False}, Succession.SUBMIT),
    ("its outputs are forced", {"outcome": DONE, "is_forced": True}, Succession.SUBMIT),
    (
        "its outputs are forced, and were made by this head",
        {"outcome": DONE, "is_forced": True, "is_done_since_start": True},
        Succession.ACCEPT,
    ),
    (
        "an output that this head made was deleted",
        {"outcome": DONE, "has_outputs": False, "is_done_since_start": True},
        Succession.SUBMIT,
    ),
    ("it failed", {"outcome": FAILED}, Succession.SUBMIT),
    ("it was interrupted", {"outcome": INTERRUPTED}, Succession.SUBMIT),
    (
        "it failed, and SLURM has not answered yet",
        {"outcome": FAILED, "is_answered": False, "state": None},
        Succession.SUBMIT,
    ),
]


@pytest.mark.parametrize(
    ("facts", "verdict"), [pytest.param(*row[1:], id=row[0]) for row in EARLIER]
)
def test_a_job_that_the_ledger_has_for_the_same_outputs(
    facts: dict[str, Any], verdict: Succession
) -> None:
    earlier = Earlier(
        **{
            "is_same": True,
            "is_cancelled": False,
            "outcome": None,
            "has_outputs": True,
            "is_forced": False,
            "is_done_since_start": False,
            "is_answered": True,
            "state": QueuedState("RUNNING"),
        }
        | facts
    )
    assert succession(earlier) == verdict
