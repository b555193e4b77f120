"""Names of jobs: here, and in SLURM (`tests/slurm/test_names.py` asks it)."""

from pathlib import Path

import pytest
from snakemake_job import SnakemakeJob

from snakemake_executor_plugin_submitit.naming import LONGEST, job_name, slurm_id, take_name


@pytest.mark.parametrize(
    ("job", "name"),
    [
        (SnakemakeJob(wildcards=["mnist", "r5", "0"]), "train/mnist/r5/0"),
        (SnakemakeJob(), "train"),
        (SnakemakeJob(wildcards=["a b", "c,d|e", "$(f)"]), "train/a_b/c_d_e/__f_"),
        (SnakemakeJob(wildcards=["x" * 200]), f"train/{'x' * (LONGEST - 6)}"),
        (
            SnakemakeJob(
                name="chain_first_second",
                jobs=[
                    SnakemakeJob(name="first", wildcards=["mnist", "0"]),
                    SnakemakeJob(name="second", wildcards=["mnist", "7"]),
                ],
            ),
            "chain_first_second/mnist",
        ),
    ],
)
def test_a_job_is_named_by_its_rule_and_wildcards(job: SnakemakeJob, name: str) -> None:
    assert job_name(job) == name


def test_the_last_task_of_an_array_is_not_taken_for_the_array() -> None:
    variables = {"SLURM_JOB_ID": "11", "SLURM_ARRAY_JOB_ID": "11", "SLURM_ARRAY_TASK_ID": "4"}
    assert slurm_id(variables) == "11_4"
    assert slurm_id({"SLURM_JOB_ID": "11"}) == "11"


def test_a_job_that_slurm_does_not_rename_says_so(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "$@: not here" >&2; exit 1\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("SLURM_JOB_ID", "11")
    monkeypatch.setenv("SLURM_JOB_NAME", "train")
    assert take_name("train") is None  # it has that name
    thread = take_name("train/0")
    assert thread is not None
    thread.join()
    assert capfd.readouterr().out == (
        "SLURM does not show this job as train/0: update JobId=11 JobName=train/0: not here\n"
    )
