"""What a run is identified by: a change starts afresh, and what is changed back costs no step."""

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from examples import tiny_run
from torch import Tensor
from trainings import ROOT, assert_same_result, before_step, raise_twice, run_dir, summary, train

from model.data.arrays import preprocess
from model.data.batches import TrainingBatches
from model.data.datasets import DATASETS
from model.evaluate import main as evaluate
from model.probe import main as probe
from model.run_config import RunConfig
from model.training.provenance import totals

OUTPUTS = ("model.safetensors", "history.parquet", "train.json")


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps that trainings take, as they take them."""
    taken: list[int] = []
    batch_at = TrainingBatches.at

    def at(self: TrainingBatches, step: int, *further: Any) -> Tensor:
        taken.append(step)
        return batch_at(self, step, *further)

    monkeypatch.setattr(TrainingBatches, "at", at)
    return taken


def make(run: RunConfig, parent: Path, data_dir: Path, name: str = "run") -> dict[str, bytes]:
    """Train a run as its config now is; what it leaves."""
    directory = run_dir(parent, run, name)
    assert train(directory, data_dir) == 0
    return {name: (directory / name).read_bytes() for name in OUTPUTS}


@pytest.mark.parametrize(
    "changed",
    [
        tiny_run(model={"skip": "mirror"}),
        tiny_run(train={"learning_rate": 0.001}),
        tiny_run(train={"iterations": 20}),
        tiny_run(train={"iterations": 7}),
    ],
    ids=["option", "rate", "longer", "shorter"],
)
def test_changed_and_back_costs_no_step(
    tmp_path: Path, data_dir: Path, steps: list[int], changed: RunConfig
) -> None:
    first = make(tiny_run(), tmp_path, data_dir)
    second = make(changed, tmp_path, data_dir)
    made_directly = make(changed, tmp_path, data_dir, "straight")
    for name in OUTPUTS[:2]:
        assert second[name] == made_directly[name]
    steps.clear()
    assert make(tiny_run(), tmp_path, data_dir) == first
    assert make(changed, tmp_path, data_dir) == second
    assert steps == []


def test_a_longer_length_continues_and_equals_a_direct_one(
    tmp_path: Path, data_dir: Path, steps: list[int]
) -> None:
    """Whatever the intervals of the first part: a validation at its end is none of the longer's."""
    make(tiny_run(train={"validate_every": 2, "log_every": 3}), tmp_path, data_dir)
    longer = tiny_run(train={"iterations": 20, "validate_every": 4, "log_every": 5})
    steps.clear()
    continued = make(longer, tmp_path, data_dir)
    assert steps == list(range(12, 20))
    direct = make(longer, tmp_path, data_dir, "straight")
    for name in OUTPUTS[:2]:
        assert continued[name] == direct[name]
    history = pd.read_parquet(tmp_path / "run/history.parquet")
    assert list(history[history.split == "train"].step) == [5, 10, 15, 20]
    assert list(history[history.split == "valid"].step) == [4, 4, 8, 8, 12, 12, 16, 16, 20, 20]


def test_a_short_trial_of_an_unfinished_run_loses_nothing(
    tmp_path: Path, data_dir: Path, steps: list[int]
) -> None:
    directory = run_dir(tmp_path, tiny_run())
    with pytest.MonkeyPatch.context() as patch:
        before_step(patch, 9, raise_twice(15))
        assert train(directory, data_dir) == 128 + 15
    make(tiny_run(train={"iterations": 6}), tmp_path, data_dir)
    steps.clear()
    whole = make(tiny_run(), tmp_path, data_dir)
    assert steps == [10, 11]
    assert (
        whole["model.safetensors"]
        == make(tiny_run(), tmp_path, data_dir, "straight")["model.safetensors"]
    )


@pytest.fixture
def other_data(tmp_path: Path) -> Path:
    """Other images under the name digits."""
    directory = tmp_path / "other"

    def upside_down(raw: Path) -> Any:
        for split, images in DATASETS["digits"].make(raw):
            yield split, np.ascontiguousarray(images[:, ::-1])

    preprocess(dataclasses.replace(DATASETS["digits"], make=upside_down), directory)
    return directory


def test_other_data_of_the_same_name_start_afresh(
    tmp_path: Path, data_dir: Path, other_data: Path, steps: list[int]
) -> None:
    first = make(tiny_run(), tmp_path, data_dir)
    on_others = make(tiny_run(), tmp_path, other_data)
    directly = make(tiny_run(), tmp_path, other_data, "straight")
    assert on_others["model.safetensors"] == directly["model.safetensors"]
    assert on_others["model.safetensors"] != first["model.safetensors"]
    steps.clear()
    assert make(tiny_run(), tmp_path, data_dir) == first
    assert steps == []


@pytest.mark.parametrize("command", ["evaluate", "probe"])
def test_weights_are_not_measured_on_other_data(
    command: str,
    tmp_path: Path,
    data_dir: Path,
    other_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(tiny_run(), tmp_path, data_dir)
    main = {"evaluate": evaluate, "probe": probe}[command]
    assert main([str(tmp_path / "run"), "--data-dir", str(other_data), "--device", "cpu"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "trained on other data of this name" in line


def test_weights_of_another_config_are_not_measured(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tiny_run(), tmp_path, data_dir)
    directory = run_dir(tmp_path, tiny_run(train={"learning_rate": 0.1}))
    assert evaluate([str(directory), "--data-dir", str(data_dir), "--device", "cpu"]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "config_hash" in line
    assert "train this run again" in line


@pytest.mark.slow
def test_a_default_that_the_code_changes_later_relabels_nothing(
    tmp_path: Path, data_dir: Path
) -> None:
    """It is in no hash: the weights are measured as what they were trained as."""
    make(tiny_run(), tmp_path, data_dir)
    directory = tmp_path / "run"
    arguments = [str(directory), "--data-dir", str(data_dir), "--device", "cpu"]
    assert evaluate(arguments) == 0
    before = pd.read_parquet(directory / "test.parquet")
    shutil.copytree(ROOT / "model", tmp_path / "later/model")
    config = tmp_path / "later/model/config.py"
    text = config.read_text()
    old = 'skip: Literal["last", "mirror"] = "last"'
    assert text.count(old) == 1
    config.write_text(text.replace(old, 'skip: Literal["last", "mirror"] = "mirror"'))

    def later(module: str) -> str:
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(
            command, cwd=tmp_path / "later", capture_output=True, text=True, check=True
        )
        return done.stderr

    later("model.evaluate")
    pd.testing.assert_frame_equal(pd.read_parquet(directory / "test.parquet"), before)
    assert "model.skip was last and is mirror" in later("model.train")
    assert summary(directory)["settings"]["model"]["skip"] == "mirror"


def test_segments_add_up_over_stops(tmp_path: Path, data_dir: Path) -> None:
    directory = run_dir(tmp_path, tiny_run())
    for step in (3, 8):
        with pytest.MonkeyPatch.context() as patch:
            before_step(patch, step, raise_twice(15))
            assert train(directory, data_dir) == 128 + 15
    assert train(directory, data_dir) == 0
    found = summary(directory)
    segments = found["segments"]
    assert [(s["first_step"], s["last_step"]) for s in segments] == [(0, 4), (4, 9), (9, 12)]
    assert found["resumes"] == 2
    assert found["wall_seconds"] == pytest.approx(sum(s["seconds"] for s in segments))
    assert found["peak_memory_bytes"] == max(s["peak_memory_bytes"] for s in segments)
    straight = make(tiny_run(), tmp_path, data_dir, "straight")
    assert json.loads(straight["train.json"])["resumes"] == 0
    assert_same_result(directory, tmp_path / "straight")


def test_gpu_hours_are_those_of_each_segment_with_its_own_gpus() -> None:
    segments = [
        {"started": "2026-01-01", "gpus": 4, "seconds": 3600.0, "peak_memory_bytes": 7},
        {"started": "2026-01-02", "gpus": 1, "seconds": 1800.0, "peak_memory_bytes": 9},
        {"started": "2026-01-03", "gpus": 0, "seconds": 900.0, "peak_memory_bytes": 3},
    ]
    assert totals(segments) == {
        "started": "2026-01-01",
        "resumes": 2,
        "wall_seconds": 6300.0,
        "gpu_hours": 4.5,
        "peak_memory_bytes": 9,
    }
