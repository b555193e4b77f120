"""Heads that are killed, interrupted, or run inside a job; and failures around them."""

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import SlurmCluster
from configuration import ClusterOptions
from head import COMMAND, Head, assert_result, events, starts, unlock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

StartCluster = Callable[[ClusterOptions], SlurmCluster]


def submitted_ids(head: Head) -> list[str]:
    """The ids of jobs and arrays in the head's messages."""
    return [
        line.split()[-1].rstrip(".")
        for line in head.output.splitlines()
        if line.startswith("Submitted")
    ]


def table(directory: Path) -> str:
    """The heads' tables of their jobs."""
    tables = directory.glob(".snakemake/submitit/slurm/jobs.*.tsv")
    return "".join(path.read_text() for path in tables)


def follow(directory: Path, cluster: SlurmCluster) -> str:
    """What the command lists."""
    command = [sys.executable, "-m", "snakemake_executor_plugin_submitit.follow"]
    done = subprocess.run(
        command,
        cwd=directory,
        env={**cluster.environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_after_a_killed_head_no_job_runs_twice(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    settings = ["--config", "trainings=2", "trivial=3", "seconds=15", "sleep=1"]
    with Head(tmp_path, slurm_cluster.environment, *settings) as first:
        slurm_cluster.wait_until(lambda: starts(tmp_path, 0) and starts(tmp_path, 1), timeout=60)
        first.kill()
    # The small jobs end while no head is running: Snakemake has no record of that.
    small = [tmp_path / f"out/trivial{i}.txt" for i in range(3)]
    slurm_cluster.wait_until(lambda: all(path.exists() for path in small), timeout=60)
    times = [path.stat().st_mtime_ns for path in small]
    unlock(tmp_path)
    with Head(tmp_path, slurm_cluster.environment, *settings) as second:
        second.succeed(timeout=100)
    assert not submitted_ids(second)
    assert [path.stat().st_mtime_ns for path in small] == times
    for training in range(2):
        assert_result(tmp_path, seconds=15, training=training)
        assert starts(tmp_path, training) == 1
    ids = submitted_ids(first)
    time.sleep(4)  # the accounting lags behind
    accounted = Counter(job.job_id for job in slurm_cluster.accounting(*ids))
    assert len(accounted) == 5
    assert set(accounted.values()) == {1}
    # Afterwards there is nothing to be done, and no file is left.
    with Head(tmp_path, slurm_cluster.environment, *settings) as third:
        third.succeed(timeout=60)
    assert "Nothing to be done" in third.output
    assert not list((tmp_path / ".snakemake/submitit/slurm/jobs").iterdir())


def test_a_training_that_ended_while_no_head_was_running_is_not_repeated(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    """Even though Snakemake asks for it: it has recorded the output with other parameters."""
    (tmp_path / "out").mkdir()
    with Head(
        tmp_path, slurm_cluster.environment, "--config", "trainings=1", "seconds=1"
    ) as before:
        before.succeed(timeout=60)
    settings = ["--config", "trainings=1", "seconds=6"]
    with Head(tmp_path, slurm_cluster.environment, *settings) as first:
        slurm_cluster.wait_until(lambda: starts(tmp_path) == 2, timeout=60)
        slurm_cluster.wait_until(lambda: "RUNNING" in table(tmp_path), timeout=60)
        assert "RUNNING" in follow(tmp_path, slurm_cluster)
        first.kill()
    slurm_cluster.wait_until(lambda: not slurm_cluster.jobs(), timeout=60)
    assert "RUNNING" in table(tmp_path)  # as the dead head saw it
    assert follow(tmp_path, slurm_cluster).split()[1] in ("COMPLETED", "ENDED")
    unlock(tmp_path)
    with Head(tmp_path, slurm_cluster.environment, *settings) as second:
        second.succeed(timeout=60)
    assert_result(tmp_path, seconds=6)
    assert starts(tmp_path) == 2


def test_a_job_whose_parameters_changed_while_no_head_was_running_is_replaced(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    with Head(
        tmp_path, slurm_cluster.environment, "--config", "trainings=1", "seconds=500"
    ) as first:
        slurm_cluster.wait_until(lambda: starts(tmp_path) == 1, timeout=60)
        first.kill()
    unlock(tmp_path)
    with Head(
        tmp_path, slurm_cluster.environment, "--config", "trainings=1", "seconds=10"
    ) as second:
        second.succeed(timeout=100)
    assert [event.kind for event in events(tmp_path)] == ["start", "stop", "start", "end"]


def test_ctrl_c_cancels_and_saves(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    settings = ["--config", "trainings=2", "seconds=500", "trivial=30", "sleep=100"]
    resources = "--set-resources=trivial:slurm_extra='--begin=now+1hour'"  # they wait
    with Head(tmp_path, slurm_cluster.environment, resources, *settings) as head:
        slurm_cluster.wait_until(lambda: starts(tmp_path, 0) and starts(tmp_path, 1), timeout=60)
        head.interrupt()
        interrupted = time.monotonic()
        slurm_cluster.wait_until(lambda: not slurm_cluster.jobs(), timeout=5)
        assert head.wait(timeout=10) != 0
        assert time.monotonic() - interrupted < 8
    for training in range(2):
        assert [event.kind for event in events(tmp_path, training)] == ["start", "stop"]
    # The same command resumes from there.
    again = ["--config", "trainings=1", f"seconds={events(tmp_path)[-1].step / 10 + 1}"]
    with Head(tmp_path, slurm_cluster.environment, *again) as head:
        head.succeed(timeout=60)
    assert events(tmp_path)[-1].step - events(tmp_path)[-2].step == 10


def test_a_head_in_a_job_submits_jobs(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    Head(tmp_path, slurm_cluster.environment, "--version").wait(timeout=60)  # copies the workflow
    command = " ".join(COMMAND)
    job = slurm_cluster.submit(
        f"cd {tmp_path} && export PATH={Path(COMMAND[0]).parent}:$PATH"
        f" && {command} --config trainings=1 > head.log 2>&1",
        "--cpus-per-task=2",
        "--mem-per-cpu=100",
        "--time=10",
        "--gres=gpu:1",
    )
    slurm_cluster.wait_until(lambda: job not in slurm_cluster.jobs(), timeout=100)
    assert_result(tmp_path, seconds=1)
    assert {event.job_id for event in events(tmp_path)}.isdisjoint({job})


def test_daemons_that_stop_and_submissions_that_fail_lose_nothing(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1))
    # An sbatch that fails three times, as when the controller is overloaded.
    faulty = tmp_path / "bin/sbatch"
    faulty.parent.mkdir()
    faulty.write_text(
        f"#!/bin/bash\n[[ $1 == --test-only ]] && exit 0\necho >> {tmp_path}/tries\n"
        f"if (( $(wc -l < {tmp_path}/tries) <= 3 )); then\n"
        "  echo 'sbatch: error: Batch job submission failed: Unexpected message received' >&2\n"
        '  exit 1\nfi\nexec /usr/bin/sbatch "$@"\n'
    )
    faulty.chmod(0o755)
    environment = {
        **cluster.environment,
        "PATH": f"{faulty.parent}:{cluster.environment['PATH']}",
    }
    settings = ["--config", "trainings=1", "seconds=20", "trivial=2"]
    with Head(tmp_path, environment, *settings) as head:
        # These have to have started: a job fails whose srun does not reach the controller.
        small = [tmp_path / f"out/trivial{i}.txt" for i in range(2)]
        cluster.wait_until(lambda: all(path.exists() for path in small), timeout=60)
        cluster.wait_until(lambda: starts(tmp_path) == 1, timeout=60)
        cluster.stop_slurmdbd()
        cluster.stop_controller()
        # Not for a fixed time: the head asks a busy controller less often.
        cluster.wait_until(lambda: "SLURM does not answer" in head.output, timeout=60)
        cluster.wait_until(lambda: events(tmp_path)[-1].kind == "end", timeout=60)
        cluster.start_controller()
        time.sleep(5)
        cluster.start_slurmdbd()
        head.succeed(timeout=100)
    assert "submission failed, trying again" in head.output
    assert len((tmp_path / "tries").read_text().splitlines()) == 5
    assert_result(tmp_path, seconds=20)
    assert starts(tmp_path) == 1


def test_slurmdbd_may_be_away_for_a_minute(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1))
    with Head(tmp_path, cluster.environment, "--config", "trainings=1", "seconds=40") as head:
        cluster.wait_until(lambda: starts(tmp_path) == 1, timeout=60)
        cluster.stop_slurmdbd()
        time.sleep(60)
        cluster.start_slurmdbd()
        head.succeed(timeout=100)
    assert_result(tmp_path, seconds=40)
    assert starts(tmp_path) == 1
