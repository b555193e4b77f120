"""`snakemake --profile slurm` in the project itself: the tables are those of a local run."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster import SlurmCluster
from head import Head
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PROFILE = [sys.executable, "-m", "snakemake", "--profile", "slurm"]
RUN = "results/tiny/runs/digits/x1/seed0"


def test_the_tables_of_a_cluster_are_those_of_a_local_run(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    directories = tmp_path / "there", tmp_path / "here"
    for directory in directories:
        directory.mkdir()
    there, here = map(Project, directories)
    arguments = ["--config", "study=tiny"]
    with Head(there.directory, slurm_cluster.environment, *arguments, command=PROFILE) as head:
        head.succeed(timeout=600)
    result = here.snakemake()
    assert result.returncode == 0, result.stdout + result.stderr
    tables = sorted((here.directory / "results/tiny/tables").glob("*.parquet"))
    names = {table.stem for table in tables}
    assert {"runs", "rates", "history", "weight-sharing", "fourier-features"} < names
    for table in tables:
        if table.stem not in ("segments", "timings"):
            twin = there.directory / "results/tiny/tables" / table.name
            assert twin.read_bytes() == table.read_bytes(), table.name
    # A training is one job, with what the profile asks for, and nothing runs twice: one array, or
    # one per dataset where the second one is preprocessed later.
    arrays = [int(n) for n in re.findall(r"Submitted (\d+) x train as array", head.output)]
    assert sum(arrays) == 17
    assert len(arrays) <= 2
    assert there.planned() == {}


def test_the_trainer_itself_is_requeued_bit_for_bit(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    """A minute and more of training under a limit of one minute."""
    project = Project(tmp_path)
    project.edit(
        "config.yaml", "validate_every: 10, log_every: 5", "validate_every: 1000, log_every: 500"
    )
    arguments = ["--config", "study=tiny", "iterations=2000"]
    limit = ["--set-resources", "train:runtime=1", "--seconds-between-status-checks=1"]
    target = f"{RUN}/model.safetensors"
    run, reference = tmp_path / RUN, tmp_path / "reference"
    with Head(
        tmp_path, slurm_cluster.environment, *arguments, *limit, "--", target, command=PROFILE
    ) as head:
        slurm_cluster.wait_until((run / "state/owner").exists, timeout=200)
        reference.mkdir()
        shutil.copy(run / "config.yaml", reference)
        command = [sys.executable, "-m", "model.train", str(reference), "--data-dir", "data"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        head.succeed(timeout=600)
    for name in ("model.safetensors", "history.parquet"):
        assert (run / name).read_bytes() == (reference / name).read_bytes()
    assert json.loads((run / "train.json").read_text())["resumes"] >= 2
    assert json.loads((reference / "train.json").read_text())["resumes"] == 0


def test_after_a_killed_or_ended_head_the_same_command_finds_its_job(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    arguments = ["--config", "study=tiny", "iterations=100000", "--", f"{RUN}/model.safetensors"]
    state = tmp_path / RUN / "state"

    def head() -> Head:
        return Head(tmp_path, slurm_cluster.environment, *arguments, command=PROFILE)

    with head() as killed:
        slurm_cluster.wait_until((state / "owner").exists, timeout=200)
        owner = (state / "owner").read_text()
        killed.kill()
    with head() as ended:
        slurm_cluster.wait_until(lambda: "train" in ended.output, timeout=60)
        slurm_cluster.wait_until(lambda: "found again" in ended.output, timeout=60)
        ended.process.terminate()
        assert ended.wait(timeout=60) == 128 + signal.SIGTERM, ended.output
    assert "its jobs run on in the cluster" in ended.output.splitlines()[-1]
    assert len(slurm_cluster.jobs()) == 1
    with head() as stopped:
        slurm_cluster.wait_until(lambda: "found again" in stopped.output, timeout=60)
        time.sleep(2)
        stopped.interrupt()
        assert stopped.wait(timeout=60) == 128 + signal.SIGINT, stopped.output
    assert "the jobs are cancelled" in stopped.output.splitlines()[-1]
    slurm_cluster.wait_until(lambda: not slurm_cluster.jobs(), timeout=60)
    assert (state / "owner").read_text() == owner  # one training all the time
    log = tmp_path / "results/tiny/logs/train/digits-x1-seed0.log"
    assert "saved at step" in log.read_text()
    for output in (ended.output, stopped.output):
        assert "rror" not in output
        assert "Traceback" not in output
    assert project.planned("iterations=100000")
