"""Before finished work is done again: what `study plan` says, and what stops snakemake."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RUN = "results/tiny/runs/digits/x1/seed0"


def trained_by_snakemake(project: Project, *settings: str) -> set[str]:
    """The runs that a dry run trains."""
    result = project.snakemake(*settings, "--dry-run", "-p")
    assert result.returncode == 0, result.stderr
    jobs = re.findall(r"rule train:.*?wildcards: ([^\n]*)", result.stdout + result.stderr, re.S)
    found = [dict(pair.split("=") for pair in job.split(", ")) for job in jobs]
    return {f"{job['dataset']}/{job['variant']}/seed{job['seed']}" for job in found}


def planned(project: Project, *options: str) -> dict[str, str]:
    """What `study plan` says of each run that is not done."""
    result = project.study("plan", "tiny", "--json", *options)
    assert result.returncode == 0, result.stderr
    runs = [run for model in json.loads(result.stdout)["models"] for run in model["runs"]]
    return {run["run"]: run["action"] for run in runs if run["action"] != "done"}


def test_the_plan_is_what_snakemake_does(finished: Project) -> None:
    assert planned(finished) == {}
    assert trained_by_snakemake(finished) == set()
    old, new = "r5: {model: {repeats: 5}}", "r5: {model: {repeats: 4}}"
    with finished.edited("config.yaml", old, new):
        found = planned(finished)
        assert found == dict.fromkeys(["digits/r5/seed0", "patches/r5/seed0"], "again")
        assert trained_by_snakemake(finished) == set(found)
    with finished.edited("config.yaml", "validate_every: 10, log_every: 5}", "log_every: 5}"):
        assert finished.study("plan", "tiny").stderr.count("\n") == 1  # a mistake is one line
    with finished.edited("config.yaml", "validate_every: 10, log_every: 5}", LESS_OFTEN):
        found = planned(finished)
        assert set(found.values()) == {"write"}
        assert trained_by_snakemake(finished) == set(found)
    found = planned(finished, "--iterations", "40")
    assert set(found.values()) == {"go on"}
    assert trained_by_snakemake(finished, "iterations=40") == set(found)
    # What is lost is missed where something is to be made of it.
    curve = finished.directory / RUN / "history.parquet"
    with away(finished.directory / RUN / "model.safetensors"), away(curve):
        assert planned(finished) == {}
        assert trained_by_snakemake(finished) == set()
        with away(finished.directory / "results/tiny/tables/runs.parquet"):
            assert planned(finished) == {"digits/x1/seed0": "write"}
            assert trained_by_snakemake(finished) == {"digits/x1/seed0"}


@contextmanager
def away(path: Path) -> Iterator[None]:
    """A file that is lost and found."""
    hidden = path.rename(path.with_name(f"{path.name}.away"))
    try:
        yield
    finally:
        hidden.rename(path)


LESS_OFTEN = "validate_every: 10, log_every: 15}"


def test_finished_work_is_not_trained_again_until_told(project: Project) -> None:
    target = ("--", f"{RUN}/model.safetensors")
    project.edit("config.yaml", "retrain_limit_hours: 1\n", "retrain_limit_hours: 0\n")
    assert project.snakemake(*target).returncode == 0
    record = project.directory / RUN / "train.json"
    before = record.read_bytes()
    project.edit("config.yaml", "  x1: {}\n", "  x1: {model: {width: 6}}\n")
    reason = "digits/x1/seed0 (model.width was 8 and is 6)"

    result = project.snakemake(*target)
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if "error" in line.lower()]
    assert line.startswith("error: ")
    assert reason in line
    assert "Traceback" not in result.stderr
    assert record.read_bytes() == before
    assert not list((project.directory / ".snakemake/heads").glob("*.json"))

    # A dry run only notes it, and what else is made is not kept back.
    dry = project.snakemake("--dry-run", *target)
    assert dry.returncode == 0
    assert dry.stderr.count("note: ") == 1
    assert reason in dry.stderr
    other = project.snakemake("--dry-run", "--", target[1].replace("x1", "x2"))
    assert (other.returncode, "note: " in other.stderr) == (0, False)

    assert project.snakemake("retrain=yes", *target).returncode == 0
    assert json.loads(record.read_text())["settings"]["model"]["width"] == 6

    # What was set aside on purpose is nobody's finished work any more.
    project.edit("config.yaml", "width: 6", "width: 5")
    assert project.study("retrain", "--study", "tiny", "digits/x1").returncode == 0
    again = project.snakemake("--dry-run", *target)
    assert (again.returncode, "note: " in again.stderr) == (0, False)
