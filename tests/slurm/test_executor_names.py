"""Which run is `11_1`? SLURM itself says so, of single jobs and of an array's tasks."""

from pathlib import Path

import pytest
from cluster import SlurmCluster
from head import Head

pytestmark = pytest.mark.slow

NAMES = {"train/0", "trivial/0", "trivial/1", "trivial/2"}


def test_squeue_and_sacct_show_each_job_under_its_name(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    settings = ["--config", "trainings=1", "trivial=3", "seconds=20", "sleep=20"]
    with Head(tmp_path, slurm_cluster.environment, *settings) as head:
        slurm_cluster.wait_until(
            lambda: {job.name for job in slurm_cluster.jobs().values()} == NAMES, 90
        )
        ids = {job.name: job_id for job_id, job in slurm_cluster.jobs().items()}
        head.succeed(timeout=100)
    for i in range(3):  # each task has the name of what it makes
        job_id = ids[f"trivial/{i}"]
        task = slurm_cluster.run("sacct", "-XnP", "--format=JobName", f"--jobs={job_id}")
        assert task.stdout.split() == [f"trivial/{i}"]
        assert (tmp_path / f"out/trivial{i}.txt").read_text() == f"{i}\n"
    accounted = {job.name for job in slurm_cluster.accounting(*ids.values())}
    assert accounted == NAMES
