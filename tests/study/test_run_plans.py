"""What `study plan` says of each run, from the files that trainings leave."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from written_results import write_probe, write_run

from model.definitions import DEFINITIONS
from model.run_config import RunConfig
from study.__main__ import main
from study.plan import RunPlan, plan_runs
from study.plan_guard import retraining
from study.plan_pace import Paces
from study.planning.content import StudyData
from study.planning.study import Run, Study
from study.profile import Profile
from study.slurm_client import has_cluster

ROOT = Path(__file__).parents[2]
X1 = Run("digits", "x1", 0)
DATA = "d1" * 32  # the digest that write_run gives
HOURS = 12.5 / 3600  # of training, likewise


def study_of(tmp_path: Path, *, iterations: int | None = None, **model: Any) -> Study:
    """Two variants with two seeds each; `model` sets fields of x1."""
    content = yaml.safe_load((ROOT / "config.yaml").read_text())
    content["studies"]["tiny"] |= {"datasets": ["digits"], "seeds": 2}
    content["studies"]["tiny"]["ablations"] = ["resolutions"]
    content["iterations"] = iterations
    content["data_dir"] = str(tmp_path / "data")
    content["variants"]["x1"] = {"model": model}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    return Study.load(tmp_path / "config.yaml", "tiny")


def plan(tmp_path: Path, study: Study, run: Run = X1) -> RunPlan:
    data = StudyData(str(tmp_path / "data"), tmp_path / "results/tiny/runs")
    (found,) = plan_runs(study, data, tmp_path / "results", [run])
    return found


def finish(tmp_path: Path, study: Study, **differences: Any) -> Path:
    """x1 as a training, an evaluation and a probe leave it."""
    config = study.run_config(X1)
    results = tmp_path / "results/tiny"
    directory = write_run(results, "digits", "x1", 0, config=config, **differences)
    record = json.loads((directory / "train.json").read_text())
    (directory / "train.json").write_text(json.dumps(record | {"step": config.train.iterations}))
    (directory / "model.safetensors").touch()
    write_probe(directory)
    (directory / "test.parquet").touch()
    (directory / "samples.png").touch()
    os.utime(directory / "config.yaml", (0, 0))
    return directory


def save(tmp_path: Path, config: RunConfig, step: int, *, is_end: bool = False) -> Path:
    """A resume state, of which only the name is read."""
    folder = tmp_path / "results/tiny/runs/digits/x1/seed0/state" / config.identity(DATA)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step{step:09d}-0123456789abcdef{'.end' if is_end else ''}.pt"
    path.touch()
    return path


def test_before_anything_all_are_new(tmp_path: Path) -> None:
    found = plan(tmp_path, study_of(tmp_path))
    assert (found.action, found.steps, found.lost_hours) == ("new", 15, 0)
    assert not (tmp_path / "results").exists()


def test_what_is_finished_is_done(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    directory = finish(tmp_path, study)
    assert plan(tmp_path, study) == RunPlan(run=X1, action="done", iterations=15, gpus=1)
    (directory / "test.parquet").unlink()
    found = plan(tmp_path, study)
    assert (found.action, found.reason, found.steps) == ("evaluate", "test.parquet is missing", 0)


def test_a_changed_setting_trains_again_and_says_which(tmp_path: Path) -> None:
    finish(tmp_path, study_of(tmp_path, width=16))
    study = study_of(tmp_path, width=12, zdim=3)
    found = plan(tmp_path, study)
    assert (found.action, found.steps) == ("again", 15)
    assert found.reason == "model.width was 16 and is 12; model.zdim was 4 and is 3"
    assert found.lost_hours == pytest.approx(HOURS)
    # Its state of an earlier time is found again.
    save(tmp_path, study.run_config(X1), 15, is_end=True)
    found = plan(tmp_path, study)
    assert (found.action, found.steps, found.lost_hours) == ("write", 0, 0)


def test_a_longer_one_goes_on_unless_its_state_is_gone(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    finish(tmp_path, study)
    state = save(tmp_path, study.run_config(X1), 15, is_end=True)
    longer = study.of_length(40)
    found = plan(tmp_path, longer)
    assert (found.action, found.first_step, found.steps) == ("go on", 15, 25)
    assert found.reason == "train.iterations was 15 and is 40"
    state.unlink()
    save(tmp_path, study.run_config(X1), 6)
    found = plan(tmp_path, longer)
    assert (found.action, found.first_step) == ("again", 6)
    assert found.lost_hours == pytest.approx(HOURS * 9 / 15)


def test_data_and_definitions_that_changed(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    directory = finish(tmp_path, study, dataset_sha256="0" * 64)
    data = StudyData(str(tmp_path / "data"), tmp_path / "results/tiny/runs")
    object.__setattr__(data, "content", lambda *_: DATA)
    (found,) = plan_runs(study, data, tmp_path / "results", [X1])
    assert (found.action, found.reason) == ("again", "its data have changed")
    record = json.loads((directory / "train.json").read_text())
    record["settings"]["definitions"] = 1
    record["config_hash"] = "other"
    (directory / "train.json").write_text(json.dumps(record))
    assert (
        f"the version of the definitions was 1 and is {DEFINITIONS} "
        in plan(tmp_path, study).reason
    )


def test_lost_outputs_come_back_where_the_state_is_there(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    directory = finish(tmp_path, study)
    (directory / "history.parquet").unlink()
    assert plan(tmp_path, study).action == "again"
    save(tmp_path, study.run_config(X1), 15, is_end=True)
    found = plan(tmp_path, study)
    assert (found.action, found.reason) == ("write", "history.parquet is missing")


def test_a_setting_that_changes_no_result_takes_no_step(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    finish(tmp_path, study)
    save(tmp_path, study.run_config(X1), 15, is_end=True)
    found = plan(tmp_path, study_of(tmp_path, gradient_checkpointing=True))
    assert (found.action, found.steps) == ("write", 0)


def test_one_that_diverged_has_ended(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    directory = finish(tmp_path, study, status="diverged")
    record = json.loads((directory / "train.json").read_text())
    (directory / "train.json").write_text(json.dumps(record | {"step": 7}))
    save(tmp_path, study.run_config(X1), 7, is_end=True)
    assert plan(tmp_path, study).action == "done"
    (directory / "history.parquet").unlink()
    assert plan(tmp_path, study).action == "write"


def test_one_that_was_stopped_goes_on(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    (tmp_path / "data/digits").mkdir(parents=True)
    data = StudyData(str(tmp_path / "data"), tmp_path / "results/tiny/runs")
    object.__setattr__(data, "content", lambda *_: DATA)
    save(tmp_path, study.run_config(X1), 4)
    (found,) = plan_runs(study, data, tmp_path / "results", [X1])
    assert (found.action, found.steps, found.reason) == ("go on", 11, "at step 4")


@pytest.mark.parametrize("content", ["", "[]", '{"config_hash": 3}'])
def test_a_damaged_record_is_said_to_be(tmp_path: Path, content: str) -> None:
    study = study_of(tmp_path)
    (finish(tmp_path, study) / "train.json").write_text(content)
    assert plan(tmp_path, study).action == "damaged"


def test_speeds_are_those_of_the_same_model(tmp_path: Path) -> None:
    study = study_of(tmp_path)
    finish(tmp_path, study)
    paces = Paces(tmp_path / "results")
    pace = paces.of(study.run_config(Run("digits", "x1", 1)))
    assert pace is not None
    assert (pace.seconds_per_iteration, pace.device) == (pytest.approx(12.5 / 15), "CPU")
    assert paces.of(study.run_config(Run("digits", "single-resolution", 0))) is None
    assert paces.of(study_of(tmp_path, width=9).run_config(X1)) is None


def test_the_guard_counts_what_is_trained_again(tmp_path: Path) -> None:
    finish(tmp_path, study_of(tmp_path, width=16))
    study = study_of(tmp_path, width=12)
    data = StudyData(str(tmp_path / "data"), tmp_path / "results/tiny/runs")

    def objection() -> str | None:
        return retraining(study, data, tmp_path / "results", study.runs)

    assert objection() is None  # seconds
    object.__setattr__(study.file, "retrain_limit_hours", 0.0)
    line = objection()
    assert line is not None
    assert "digits/x1/seed0 (model.width was 16 and is 12);" in line
    assert "--config retrain=yes" in line
    object.__setattr__(study.file, "retrain", True)
    assert objection() is None


@pytest.mark.parametrize(
    ("resources", "seconds"),
    [
        ("set-resources: {train: {runtime: 1d}}", 86400 - 120),
        ("set-resources: [train:runtime=90]", 5400 - 120),
        ("default-resources: [runtime=2h, mem_mb=4000]\nsubmitit-signal-delay: 600", 7200 - 600),
        ("default-resources: {runtime: 3}", 120),  # a third of the limit to save
        ("default-resources: [mem_mb=4000]", None),
    ],
)
def test_the_time_limit_of_a_profile(tmp_path: Path, resources: str, seconds: int | None) -> None:
    (tmp_path / "config.yaml").write_text(f"executor: submitit\n{resources}\n")
    assert Profile.load(tmp_path).seconds_per_job("train") == seconds


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(tmp_path, study_of(tmp_path, width=16))
    study_of(tmp_path, width=12)
    (tmp_path / "slurm").mkdir()
    # 15 iterations of 12.5 s / 15 are 12.5 s: in jobs of 8 s, of which a third is for saving.
    (tmp_path / "slurm/config.yaml").write_text("set-resources: {train: {runtime: 6s}}\n")

    def command(*arguments: str) -> str:
        paths = ["--config", f"{tmp_path}/config.yaml", "--results", f"{tmp_path}/results"]
        assert main(["plan", "tiny", *paths, *arguments]) == 0
        return capsys.readouterr().out

    text = command()
    assert "tiny: 4 runs of 2 models" in text
    assert "again: model.width was 16 and is 12 (digits/x1/seed0)" in text
    assert "study plan tiny --probe" in text
    study_of(tmp_path, width=16)
    found = json.loads(command("--json", "--profile", f"{tmp_path}/slurm"))
    assert found["actions"] == {"new": 3, "done": 1}
    x1 = next(model for model in found["models"] if model["variant"] == "x1")
    assert [run["seconds"] for run in x1["runs"]] == [0, pytest.approx(12.5)]
    assert found["models_of_unknown_speed"] == ["digits/single-resolution"]
    assert found["requeues"] == 3  # 12.5 s in jobs of 4 s
    assert found["jobs"] == {"train": 3, "measure": 1, "evaluate": 2}
    found = json.loads(command("--json", "--iterations", "30"))
    assert {run["iterations"] for model in found["models"] for run in model["runs"]} == {30}


def test_the_time_on_this_machine_s_cores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three seeds of x1 are left, of 12.5 s each: with two cores, the third one waits."""
    finish(tmp_path, study_of(tmp_path))
    content = yaml.safe_load((tmp_path / "config.yaml").read_text())
    content["studies"]["tiny"]["seeds"] = 4
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    times = {}
    for cores in (1, 2, 3):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cores=cores: {*range(cores)})
        paths = ["--config", f"{tmp_path}/config.yaml", "--results", f"{tmp_path}/results"]
        assert main(["plan", "tiny", *paths]) == 0
        text = capsys.readouterr().out
        assert main(["plan", "tiny", *paths, "--json"]) == 0
        times[cores] = json.loads(capsys.readouterr().out)["seconds_with_all_cores"]
        assert ("25 s with the 2 cores of this machine; 12 s all at a time" in text) == (cores == 2)
    assert times == pytest.approx({1: 37.5, 2: 25, 3: 12.5})


@pytest.mark.parametrize("is_configured", [False, True])
def test_a_cluster_is_asked_where_one_is_configured(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_configured: bool,
) -> None:
    """Debian installs the client without a configuration: what it says then, to the letter."""
    says = (
        "echo 'Slurmctld(primary) at node1 is DOWN'; exit 1"
        if is_configured
        else "echo 'scontrol: fatal: Could not establish a configuration source' >&2; exit 1"
    )
    for name in ("sbatch", "scontrol", "sinfo"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{says}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert has_cluster() == is_configured
    if is_configured:
        return
    finish(tmp_path, study_of(tmp_path))
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/config.yaml").write_text("set-resources: {train: {runtime: 6s}}\n")
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "tiny"]) == 0
    text = capsys.readouterr().out
    assert "SLURM" not in text
    assert "requeue" not in text
    assert main(["plan", "tiny", "--profile", "slurm"]) == 0
    assert "on the cluster 3 requeues" in capsys.readouterr().out
    main(["doctor", "tiny"])
    assert "not checked: no SLURM is configured on this machine" in capsys.readouterr().out


@pytest.mark.slow
def test_a_probe_measures_what_nobody_knows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study_of(tmp_path)
    paths = ["--config", f"{tmp_path}/config.yaml", "--results", f"{tmp_path}/results"]
    assert main(["plan", "tiny", *paths, "--probe", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["models_of_unknown_speed"] == []
    assert found["models_tried"] == ["digits/single-resolution", "digits/x1"]
    for model in found["models"]:
        assert 0 < model["pace"]["seconds_per_iteration"] < 20
    assert not (tmp_path / "results").exists()
