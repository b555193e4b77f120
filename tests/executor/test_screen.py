"""What is said of jobs from one poll to the next."""

import logging
from pathlib import Path

import pytest
from snakemake_job import SnakemakeJob

from snakemake_executor_plugin_submitit.requeues import BY_SLURM
from snakemake_executor_plugin_submitit.screen import Screen
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState
from snakemake_executor_plugin_submitit.table import read

RUNNING = QueuedState("RUNNING", "None", restarts=0)


@pytest.fixture
def screen(tmp_path: Path) -> Screen:
    """With a job 7 that the cluster has."""
    screen = Screen(logging.getLogger("test"), tmp_path, total=9)
    screen.watched("7", SnakemakeJob(wildcards=["mnist"]), tmp_path / "7")
    return screen


def test_each_requeue_is_told_once_with_what_the_job_said_before_it(
    screen: Screen, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "7").write_text("Requeued at start 2: time limit\n")
    for state, restarts in [
        ("RUNNING", 2),  # how it is found
        ("PENDING", 3),
        ("RUNNING", 3),
        ("RUNNING", 4),  # it was requeued between two polls
        ("RUNNING", None),  # SLURM does not say
        ("RUNNING", 4),
    ]:
        screen.show({"7": QueuedState(state, "None", restarts)}, unsubmitted=0)
    assert [message for message in caplog.messages if "requeued" in message] == [
        "submitit: job 7, train/mnist, requeued the 3rd time: time limit",
        f"submitit: job 7, train/mnist, requeued the 4th time: {BY_SLURM}",
    ]


def test_the_table_has_the_jobs_of_the_last_poll(screen: Screen, tmp_path: Path) -> None:
    screen.watched("8", SnakemakeJob(name="probe"), tmp_path / "8")
    screen.show({"7": RUNNING, "8": None}, unsubmitted=0)
    rows = [row for row, _ in read(tmp_path)]
    assert [(row.job, row.state, row.name) for row in rows] == [
        ("8", "UNKNOWN", "probe"),
        ("7", "RUNNING", "train/mnist"),
    ]
    assert rows[1].output == str(tmp_path / "7")
    screen.show({}, unsubmitted=0)
    assert read(tmp_path) == []


def test_a_held_job_is_told_again_after_it_ran(
    screen: Screen, caplog: pytest.LogCaptureFixture
) -> None:
    held = QueuedState("PENDING", "JobHeldUser")
    for state in (held, held, RUNNING, held):
        if state is held:
            screen.stuck("7", "train", "JobHeldUser")
        screen.show({"7": state}, unsubmitted=0)
    assert sum("cannot start: JobHeldUser" in message for message in caplog.messages) == 2
