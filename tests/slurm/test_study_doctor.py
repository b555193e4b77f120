"""`study doctor` beside a real SLURM: the profile's partitions, and the executor's ledger."""

import json
from pathlib import Path
from typing import Any

import pytest
from cluster import SlurmCluster
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def findings(project: Project, cluster: SlurmCluster, name: str) -> list[str]:
    result = project.study("doctor", "tiny", "--json", environment=cluster.environment)
    checks: list[dict[str, Any]] = json.loads(result.stdout)
    (check,) = [check for check in checks if check["name"] == name]
    assert not check["note"], check["note"]
    return [finding["what"] for finding in check["findings"]]


def test_profile_and_ledger(slurm_cluster: SlurmCluster, tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert findings(project, slurm_cluster, "profile") == []
    project.edit("slurm/config.yaml", "# submitit-partition: gpu", "submitit-partition: mian")
    found = findings(project, slurm_cluster, "profile")
    assert "no partition 'mian'; did you mean 'main'?; there are main" in found[0]
    project.edit("slurm/config.yaml", "submitit-partition: mian", "submitit-partition: main")
    assert findings(project, slurm_cluster, "profile") == []

    project.edit("slurm/config.yaml", "train: {runtime: 1d}", "train: {runtime: 30h}")
    (too_long,) = findings(project, slurm_cluster, "profile")
    assert (
        "runtime of train, 1,800 minutes, is longer than partition main allows: 1,440" in too_long
    )

    job = slurm_cluster.submit("sleep 300")
    ledger = tmp_path / ".snakemake/submitit/slurm/ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    lines = [{"key": "a", "job_id": job}, {"key": "b", "job_id": "4711_3"}]
    ledger.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (found_jobs,) = findings(project, slurm_cluster, "jobs")
    assert found_jobs.endswith("not there any more: 4711_3")
    slurm_cluster.run("scancel", job)
