"""SLURM is asked about the jobs of a study that are to come, and gets none of them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cluster import SlurmCluster
from head import Head
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROFILE = [sys.executable, "-m", "snakemake", "--profile", "slurm"]
TINY = ("--config", "study=tiny", "iterations=100000")


def ask(project: Project, cluster: SlurmCluster) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PROFILE, "--submitit-test-only", *TINY],
        cwd=project.directory,
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def plan(project: Project, cluster: SlurmCluster) -> list[str]:
    result = project.study("plan", "tiny", "--json", environment=cluster.environment)
    assert result.returncode == 0, result.stderr
    requests: list[str] = json.loads(result.stdout)["requests"]
    return requests


def test_each_request_is_answered_and_nothing_is_submitted(
    slurm_cluster: SlurmCluster, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    asked = ask(project, slurm_cluster)
    assert asked.returncode == 0, asked.stderr
    answers = dict(line.split("): ") for line in asked.stdout.splitlines())
    (train,) = [request for request in answers if request.endswith("minutes=1440")]
    assert train.startswith("17 x train (gres=gpu:1, mem=")
    assert all(answer.startswith("to start at ") for answer in answers.values())
    planned = dict(line.split("): ") for line in plan(project, slurm_cluster))
    assert planned.keys() == answers.keys()

    # Also beside a head that works, and that must not notice.
    with Head(tmp_path, slurm_cluster.environment, *TINY, command=PROFILE) as head:
        slurm_cluster.wait_until(lambda: "Submitted" in head.output, timeout=100)
        jobs = list((tmp_path / ".snakemake/submitit/slurm").glob("jobs.*.tsv"))
        assert ask(project, slurm_cluster).returncode == 0
        assert jobs
        assert all(table.exists() for table in jobs)
        assert head.process.poll() is None
    slurm_cluster.run("scancel", *slurm_cluster.jobs())

    project.edit("slurm/config.yaml", "train: {runtime: 1d}", "train: {runtime: 1d, gpu: 9}")
    refused = ask(project, slurm_cluster)
    assert refused.returncode == 1
    assert sum("): refused: " in line for line in refused.stdout.splitlines()) == 1
    assert "SLURM refuses rule train (gres=gpu:9" in refused.stderr
    assert any("): refused: " in line for line in plan(project, slurm_cluster))

    project.edit("slurm/config.yaml", "gpu: 9", "gpus: 9")
    (misspelt,) = plan(project, slurm_cluster)
    assert misspelt.startswith("not asked: `snakemake --profile slurm --submitit-test-only ")
    assert misspelt.endswith("rule train: unknown resource gpus; did you mean gpu?")
    assert not slurm_cluster.jobs()
