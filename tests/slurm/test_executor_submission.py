"""Submitting jobs on a real cluster: arrays, limits, mistakes, failures."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from cluster import SlurmCluster
from configuration import ClusterOptions
from head import Head, assert_result, starts, unlock

from snakemake_executor_plugin_submitit.slurm_answers import QUEUE_FORMAT, queued_states

pytestmark = pytest.mark.slow

StartCluster = Callable[[ClusterOptions], SlurmCluster]


def test_jobs_of_equal_resources_are_one_array(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    settings = ["--config", "trivial=6", "trainings=1"]
    with Head(tmp_path, slurm_cluster.environment, *settings) as head:
        head.succeed(timeout=100)
    assert sorted(
        line.split(" as ")[0] for line in head.output.splitlines() if "Submitted" in line
    ) == [
        "Submitted 1 x train",
        "Submitted 6 x trivial",
    ]
    assert [(tmp_path / f"out/trivial{i}.txt").read_text() for i in range(6)] == [
        f"{i}\n" for i in range(6)
    ]
    # The accounting has each task of the array.
    array = next(line.split()[-1] for line in head.output.splitlines() if "6 x trivial" in line)
    slurm_cluster.wait_until(lambda: len(slurm_cluster.accounting(array.rstrip("."))) == 6, 20)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--submitit-partition=nope"], "SLURM refuses rule train (partition=nope, mem=500M"),
        (["--submitit-partition=nope"], "; rule trivial (partition=nope, mem=400M"),
        (["--submitit-account=nope"], "Invalid account"),
        (["--set-resources=trivial:gpu=5"], "SLURM refuses rule trivial (gres=gpu:5"),
        (["--set-resources=trivial:runtime=2d"], "the partition allows at most 1440 minutes"),
        (["--set-resources=trivial:runtime=soon"], "rule trivial: Resource 'runtime'"),
        (["--set-resources=trivial:gpus=1"], "unknown resource gpus; did you mean gpu?"),
        (["--set-resources=trivial:slurm_time=5"], "rule trivial: unknown resource slurm_time"),
        (["--submitit-extra=reservation"], "write 'reservation' as --option=value"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_submitted(
    slurm_cluster: SlurmCluster, tmp_path: Path, arguments: list[str], message: str
) -> None:
    settings = ["--config", "trivial=1", "trainings=1"]
    with Head(tmp_path, slurm_cluster.environment, *settings, *arguments) as head:
        assert head.wait(timeout=60) == 1
    errors = [line for line in head.output.splitlines() if "rror" in line or message in line]
    assert len(errors) == 1, head.output
    assert errors[0].startswith("Error: ")
    assert message in errors[0]
    assert not slurm_cluster.jobs()


def test_without_slurm_the_message_offers_an_alternative(tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": "/nowhere"}
    with Head(tmp_path, environment, "--config", "trivial=1") as head:
        assert head.wait(timeout=60) == 1
    errors = [line for line in head.output.splitlines() if "rror" in line]
    assert len(errors) == 1
    assert errors[0].startswith("Error: sbatch is not on PATH")
    assert "--submitit-cluster local" in errors[0]


def test_a_failure_shows_its_reason_and_the_rules_log(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    targets = ["out/fail.txt", "out/second.txt"]
    with Head(tmp_path, slurm_cluster.environment, "--keep-going", *targets) as head:
        assert head.wait(timeout=100) == 1
    message = head.output[head.output.index("Error in rule fail") :].splitlines()
    assert message[1].strip() == "message: exit code 3"
    assert message[3].strip() == "about to fail"
    assert "Traceback" not in head.output
    assert (tmp_path / "out/second.txt").read_text() == "first\nsecond\n"  # a group of two


def test_a_job_without_runtime_has_the_partitions_and_a_setup_that_fails_says_so(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    (tmp_path / "Snakefile").write_text(
        "rule limit:\n"
        "    output: 'limit.txt'\n"
        "    shell: 'squeue --noheader --jobs=$SLURM_JOB_ID --format=%l > {output}'\n"
        "rule broken:\n"
        "    output: 'broken.txt'\n"
        "    resources: slurm_setup='ls ./nowhere', mem_mb=0\n"
        "    shell: 'touch {output}'\n"
    )
    targets = ["limit.txt", "broken.txt"]
    with Head(tmp_path, slurm_cluster.environment, "--keep-going", *targets) as head:
        assert head.wait(timeout=100) == 1
    assert (tmp_path / "limit.txt").read_text() == "1:00:00\n"
    assert "message: its setup failed, exit code 2: ls ./nowhere" in head.output
    assert "cannot access './nowhere'" in head.output


def test_a_job_that_takes_too_much_memory_is_reported_as_such(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    with Head(tmp_path, slurm_cluster.environment, "out/hungry.txt") as head:
        assert head.wait(timeout=100) == 1
    assert "message: out of memory: raise its mem_mb" in head.output


def test_a_cancelled_job_is_reported_as_such(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    with Head(tmp_path, slurm_cluster.environment, "out/endless.txt") as head:
        slurm_cluster.wait_until(
            lambda: [job for job in slurm_cluster.jobs().values() if job.state == "RUNNING"], 60
        )
        slurm_cluster.run("scancel", *slurm_cluster.jobs())
        assert head.wait(timeout=60) == 1
    assert "SLURM says CANCELLED" in head.output
    assert head.output.count("Submitted") == 1


def test_a_refused_job_fails_alone(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    """Its partition disappears after the check."""
    slurm_cluster.run("scontrol", "create", "partitionname=short-lived", "nodes=ALL")
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        "#!/bin/bash\n"
        "[[ $1 != --test-only ]] && scontrol delete partitionname=short-lived 2> /dev/null\n"
        'exec /usr/bin/sbatch "$@"\n'
    )
    sbatch.chmod(0o755)
    path = f"{sbatch.parent}:{slurm_cluster.environment['PATH']}"
    environment = {**slurm_cluster.environment, "PATH": path}
    arguments = ["--set-resources=train:slurm_partition=short-lived", "--keep-going"]
    settings = ["--config", "trivial=1", "trainings=1"]
    with Head(tmp_path, environment, *arguments, *settings) as head:
        assert head.wait(timeout=60) == 1
    assert "message: not submitted: invalid partition specified: short-lived" in head.output
    assert (tmp_path / "out/trivial0.txt").exists()


def with_broken_sbatch(cluster: SlurmCluster, tmp_path: Path, end: str) -> dict[str, str]:
    """An environment in which the first sbatch submits, held, and then ends in another way.

    What it would have said is in bin/sbatch.lost.
    """
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        "#!/bin/bash\n"
        '[[ $1 == --test-only || -e $0.lost ]] && exec /usr/bin/sbatch "$@"\n'
        f'/usr/bin/sbatch --hold "$@" > $0.lost\n{end}\n'
    )
    sbatch.chmod(0o755)
    return {**cluster.environment, "PATH": f"{sbatch.parent}:{cluster.environment['PATH']}"}


def test_a_submission_whose_answer_is_lost_is_not_there_twice(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    end = "echo Socket timed out on send/recv operation >&2; exit 1"
    environment = with_broken_sbatch(slurm_cluster, tmp_path, end)
    with Head(tmp_path, environment, "--config", "trivial=2") as head:
        head.succeed(timeout=100)
    lost = (tmp_path / "bin/sbatch.lost").read_text().split()[-1]
    assert f"Cancelled {lost}: submitted, but not recorded." in head.output
    assert not slurm_cluster.jobs()


def test_a_head_killed_between_a_submission_and_its_record_leaves_neither_job_nor_file(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    environment = with_broken_sbatch(slurm_cluster, tmp_path, "kill -9 $PPID; sleep 5")
    with Head(tmp_path, environment, "--config", "trivial=2") as head:
        assert head.wait(60) != 0
    jobs = tmp_path / ".snakemake/submitit/slurm/jobs"
    lost = (tmp_path / "bin/sbatch.lost").read_text().split()[-1]
    assert slurm_cluster.jobs()
    assert list(jobs.iterdir())
    unlock(tmp_path)
    with Head(tmp_path, environment, "--config", "trivial=2") as head:
        head.succeed(timeout=100)
    assert f"Cancelled {lost}: submitted, but not recorded." in head.output
    assert not slurm_cluster.jobs()
    assert not list(jobs.iterdir())


def test_a_submit_limit_means_waiting(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1, max_submit_jobs=3))
    with Head(tmp_path, cluster.environment, "--config", "trivial=7") as head:
        head.succeed(timeout=200)
    assert head.output.count("waiting until SLURM takes more jobs") == 1


def test_a_site_without_arrays_and_a_job_that_sigterm_finds_unsubmitted(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1, max_array_size=0, accounting=False))
    with Head(tmp_path, cluster.environment, "--config", "trivial=4") as head:
        head.succeed(timeout=100)
    assert "Submitted 4 x trivial as single jobs" in head.output
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(
        '#!/bin/bash\n[[ $1 == --test-only ]] && exec /usr/bin/sbatch "$@"\n'
        'echo "Unable to contact slurm controller (connect failure)" >&2; exit 1\n'
    )
    sbatch.chmod(0o755)
    environment = {**cluster.environment, "PATH": f"{sbatch.parent}:{cluster.environment['PATH']}"}
    with Head(tmp_path, environment, "out/train0.txt") as head:
        cluster.wait_until(lambda: "submission failed, trying again" in head.output, 60)
        head.process.terminate()
        assert head.wait(timeout=30) == 1
    assert "not submitted: Snakemake was told to stop" in head.output


def test_a_maintenance_is_waited_for_and_stops_nothing_else(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=2, accounting=False))
    gone, stays = cluster.nodes
    cluster.run("scontrol", "create", "partitionname=other", f"nodes={gone}")
    with Head(tmp_path, cluster.environment, "--config", "trainings=1", "seconds=30") as first:
        cluster.wait_until(lambda: starts(tmp_path) == 1, 60)
        first.kill()
    # Draining: the training goes on.
    for node in (gone, stays):
        cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=disk")
    unlock(tmp_path)
    other = "--set-resources=trivial:slurm_partition=other"
    settings = ["--config", "trainings=1", "seconds=30", "trivial=1"]
    with Head(tmp_path, cluster.environment, other, *settings) as head:
        cluster.wait_until((tmp_path / "out/train0.txt").exists, 60)
        assert "train/0, found again" in head.output
        lines = [line for line in head.output.splitlines() if "out of service" in line]
        assert len(lines) == 2  # of each partition
        assert any("rule trivial (partition=other, mem=400M" in line for line in lines)
        assert any(f"{gone} is out of service" in line for line in lines)
        assert not (tmp_path / "out/trivial0.txt").exists()
        cluster.run("scontrol", "update", f"nodename={gone}", "state=resume")
        head.succeed(timeout=60)
    assert_result(tmp_path, seconds=30)
    assert starts(tmp_path) == 1


def test_a_rebuilt_cluster_gives_its_ids_away_again(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    """The new job of that id is not taken for the old one, which failed, and is not cancelled."""
    logs = []
    for target, code in (("out/fail.txt", 1), ("out/trivial0.txt", 0)):
        cluster = start_cluster(ClusterOptions(num_nodes=1, accounting=False))
        with Head(tmp_path, cluster.environment, target) as head:
            assert head.wait(timeout=60) == code, head.output
        logs.append(next(line for line in head.output.splitlines() if "Submitted 1" in line))
    assert logs[0].split()[-1] == logs[1].split()[-1]
    assert (tmp_path / "out/trivial0.txt").read_text() == "0\n"


def test_variables_of_slurm_in_the_environment_change_nothing(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    environment = {
        **slurm_cluster.environment,
        "SBATCH_EXPORT": "NONE",
        "SBATCH_PARTITION": "nope",
        "SBATCH_TIMELIMIT": "1",
        "SBATCH_NO_REQUEUE": "1",
        "SLURM_EXPORT_ENV": "NONE",
        "SLURM_EXCLUSIVE": "user",
        "SLURM_NNODES": "3",
        "SQUEUE_STATES": "PENDING",
        "SQUEUE_PARTITION": "high",
    }
    settings = ["--submitit-partition=main", "--config", "trivial=2", "sleep=12"]
    with Head(tmp_path, environment, *settings) as head:
        slurm_cluster.wait_until(lambda: "Submitted 2 x" in head.output, 60)
        shown = slurm_cluster.run("scontrol", "show", "job", "--oneliner").stdout
        assert "TimeLimit=00:10:00" in shown
        assert "Requeue=1" in shown
        head.succeed(timeout=100)


def test_the_command_that_is_offered_for_held_jobs_helps(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    settings = ["--submitit-extra=--hold", "--config", "trivial=3"]
    with Head(tmp_path, slurm_cluster.environment, *settings) as head:
        slurm_cluster.wait_until(lambda: "scontrol release" in head.output, 60)
        line = next(line for line in head.output.splitlines() if "scontrol release" in line)
        assert "of trivial cannot start: JobHeldUser" in line
        # The queue says of which submission its jobs are, and how often they were started.
        command = ["squeue", "--array", "--noheader", f"--Format={QUEUE_FORMAT}"]
        states = queued_states(slurm_cluster.run(*command).stdout)
        (folder,) = (tmp_path / ".snakemake/submitit/slurm/jobs").iterdir()
        assert {(state.submission, state.restarts) for state in states.values()} == {
            (folder.name, 0)
        }
        assert len(states) == 3
        slurm_cluster.run(*line[line.index("scontrol") :].split())
        head.succeed(timeout=100)
    assert head.output.count("cannot start") == 1


def test_a_site_without_accounting(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(ClusterOptions(num_nodes=1, accounting=False))
    with Head(tmp_path, cluster.environment, "--config", "trivial=2", "--", "all") as head:
        head.succeed(timeout=100)
    with Head(tmp_path, cluster.environment, "out/endless.txt") as head:
        cluster.wait_until(
            lambda: [job for job in cluster.jobs().values() if job.state == "RUNNING"], 60
        )
        cluster.run("scancel", *cluster.jobs())
        assert head.wait(timeout=60) == 1
    assert "SLURM says CANCELLED" in head.output
