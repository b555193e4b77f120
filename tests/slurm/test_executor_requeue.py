"""Trainings that are interrupted and still end with the result of an uninterrupted one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import SlurmCluster
from configuration import ClusterOptions
from head import Head, assert_result, events, starts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

StartCluster = Callable[[ClusterOptions], SlurmCluster]


def assert_one_at_a_time(directory: Path) -> None:
    """Each start comes after the last one has saved and stopped, or ended just before its limit."""
    kinds = [event.kind for event in events(directory)]
    assert set(kinds[::2]) == {"start"}
    assert set(kinds[1::2]) <= {"stop", "end"}
    assert kinds[-1] == "end"


@pytest.mark.parametrize("proctrack", ["linuxproc", "cgroup"])
def test_a_training_longer_than_its_time_limit_is_requeued_under_its_id(
    start_cluster: StartCluster, tmp_path: Path, proctrack: str
) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1, proctrack=proctrack))  # type: ignore[arg-type]
    settings = ["--config", "trainings=1", "seconds=70", "runtime=1"]
    with Head(tmp_path, cluster.environment, *settings) as head:
        head.succeed(timeout=300)
    assert_result(tmp_path, seconds=70)
    assert_one_at_a_time(tmp_path)
    assert starts(tmp_path) >= 3
    assert len({event.job_id for event in events(tmp_path)}) == 1
    assert head.output.count("Submitted") == 1
    (job,) = {event.job_id for event in events(tmp_path)}
    for time in ("1st", "2nd"):
        line = f"job {job}, train/0, requeued the {time} time: time limit"
        assert head.output.count(line) == 1


def test_where_requeueing_is_forbidden_a_training_is_submitted_anew(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1, accounting=False, requeue=False))
    settings = ["--config", "trainings=1", "seconds=70", "runtime=1"]
    with Head(tmp_path, cluster.environment, *settings, "--submitit-extra=--no-requeue") as head:
        head.succeed(timeout=300)
    assert_result(tmp_path, seconds=70)
    assert_one_at_a_time(tmp_path)
    assert len({event.job_id for event in events(tmp_path)}) == starts(tmp_path) >= 3


def test_the_requeue_limit_ends_a_training_that_never_ends(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1, accounting=False))
    settings = ["--config", "trainings=1", "seconds=1000", "runtime=1"]
    with Head(tmp_path, cluster.environment, *settings, "--submitit-requeue-limit=1") as head:
        assert head.wait(timeout=200) == 1
    assert "requeued 1 times" in head.output
    assert [event.kind for event in events(tmp_path)] == ["start", "stop"] * 2


def test_a_job_that_saves_nothing_runs_into_its_time_limit(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1))
    with Head(tmp_path, cluster.environment, "out/endless.txt") as head:
        assert head.wait(timeout=200) == 1
    assert "time limit: raise its runtime" in head.output
    assert head.output.count("Submitted") == 1


@pytest.mark.parametrize(
    ("proctrack", "send_user_signal"),
    [("linuxproc", True), ("cgroup", True), ("linuxproc", False), ("cgroup", False)],
)
def test_a_preempted_training_resumes_later(
    start_cluster: StartCluster, tmp_path: Path, proctrack: str, send_user_signal: bool
) -> None:
    options = ClusterOptions(
        num_nodes=1,
        proctrack=proctrack,  # type: ignore[arg-type]
        preempt_send_user_signal=send_user_signal,
        preempt_grace_s=8,
    )
    cluster = start_cluster(options)
    settings = ["--submitit-partition=low", "--config", "trainings=1", "seconds=14"]
    with Head(tmp_path, cluster.environment, *settings) as head:
        for preemptions in (1, 2):
            cluster.wait_until(lambda n=preemptions: starts(tmp_path) == n, timeout=60)
            cluster.wait_until((tmp_path / "state/0/state").exists, timeout=30)
            cluster.submit("sleep 1", "--partition=high", "--exclusive", "--time=5")
            cluster.wait_until(
                lambda n=preemptions: events(tmp_path)[-1].kind == "stop", timeout=60
            )
        head.succeed(timeout=120)
    assert_result(tmp_path, seconds=14)
    assert_one_at_a_time(tmp_path)
    assert starts(tmp_path) == 3
    assert len({event.job_id for event in events(tmp_path)}) == 1
    reason = "preempted" if send_user_signal else "by SLURM"
    assert f"train/0, requeued the 2nd time: {reason}" in head.output


def test_a_sigterm_that_no_kill_follows_costs_a_requeue_and_no_idle_day(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    """`scancel --signal=TERM`, of a training and of a job that saves nothing."""
    cluster = start_cluster(ClusterOptions(num_nodes=1))
    settings = ["--config", "trainings=1", "seconds=20", "trivial=1", "sleep=20"]
    with Head(tmp_path, cluster.environment, *settings) as head:
        cluster.wait_until((tmp_path / "state/0/state").exists, timeout=60)
        jobs = set(cluster.jobs())
        cluster.run("scancel", "--signal=TERM", *jobs)
        head.succeed(timeout=200)
    assert_result(tmp_path, seconds=20)
    assert_one_at_a_time(tmp_path)
    assert [event.kind for event in events(tmp_path)] == ["start", "stop", "start", "end"]
    assert {event.job_id for event in events(tmp_path)} <= jobs
    assert (tmp_path / "out/trivial0.txt").read_text() == "0\n"
    assert head.output.count("Submitted") == 2


def test_a_training_on_a_node_that_dies_resumes_elsewhere_from_its_last_save(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=2))
    with Head(tmp_path, cluster.environment, "--config", "trainings=1", "seconds=15") as head:
        cluster.wait_until((tmp_path / "state/0/state").exists, timeout=60)
        (job,) = cluster.jobs().values()
        cluster.kill_node(job.node)
        head.succeed(timeout=200)
    assert_result(tmp_path, seconds=15)
    assert [event.kind for event in events(tmp_path)] == ["start", "start", "end"]
    assert events(tmp_path)[1].step > 0
    assert "train/0, requeued the 1st time: by SLURM (its node failed" in head.output
