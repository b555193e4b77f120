"""Why a job was requeued, from its log to the head."""

import pytest

from snakemake_executor_plugin_submitit import requeues


def test_the_head_reads_what_the_job_said_before_its_last_requeue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    requeues.announce(0, is_early=False)
    requeues.announce(1, is_early=True)
    log = capsys.readouterr().out
    assert requeues.reason(log, restarts=2) == "preempted"
    assert requeues.reason(log, restarts=3) == requeues.BY_SLURM  # it had no time to say why
    assert requeues.reason("", restarts=1) == requeues.BY_SLURM


@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th"), (22, "22nd")],
)
def test_times_are_counted(number: int, text: str) -> None:
    assert requeues.times(number) == f"the {text} time"
