"""A user's own images, changed, moved and removed: the same command makes what is needed again."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from project import Project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DATASET = """
  NAME:
    model: {image_size: 8, image_channels: 3, likelihood: discretised_logistics, pixel_mean: 127.0,
      pixel_std: 64.0, encoder: "8x1,8d2,4x1,4d4,1x1", decoder: "1x1,4m1,4x1,8m4,8x1", width: 8,
      zdim: 2, num_mixtures: 2}
    train: {batch_size: 8, learning_rate: 0.003, ema_rate: 0.99, gradient_clip: 200.0,
      skip_threshold: 400.0}
"""
STUDY = """
  own:
    datasets: [cats, dogs]
    seeds: 1
    ablations: [weight-sharing]
    train: {iterations: 20, warmup_iterations: 2, validation_images: 4, validate_every: 10,
      log_every: 5}
    evaluate: {importance_samples: 1}
    probe: {num_samples: 4, temperatures: [1.0]}
"""


def write_images(project: Project, dataset: str, seed: int) -> Path:
    folder = project.directory / "data/raw" / dataset
    numbers = np.random.default_rng(seed)
    for split, count in (("train", 24), ("valid", 6), ("test", 6)):
        (folder / split).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            pixels = numbers.integers(40 * seed, 40 * seed + 60, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{n}.png")
    return folder


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A study of two own datasets with one variant, trained and evaluated."""
    project = Project(tmp_path_factory.mktemp("own"))
    entries = DATASET.replace("NAME", "cats") + DATASET.replace("NAME", "dogs")
    project.edit("config.yaml", "\ndatasets:\n", f"\ndatasets:{entries}")
    project.edit("config.yaml", "\nstudies:\n", f"\nstudies:{STUDY}")
    project.edit("config.yaml", "variants: [x1, x2, r2, r5]", "variants: [x1]")
    for dataset in ("cats", "dogs"):
        write_images(project, dataset, seed=1)
    succeed(project)
    assert planned(project) == {}
    return project


RUNS = ("--", "results/own/tables/runs.parquet")  # without probes and figures: it is quicker


def planned(project: Project, *arguments: str) -> dict[str, int]:
    return project.planned(*arguments, *RUNS, study="own")


def succeed(project: Project, *arguments: str) -> None:
    result = project.snakemake(*arguments, *RUNS, study="own")
    assert result.returncode == 0, result.stdout + result.stderr


def results_of(project: Project) -> pd.DataFrame:
    runs = pd.read_parquet(project.directory / "results/own/tables/runs.parquet")
    return runs.set_index(["dataset", "variant"])


def steps_of(project: Project, dataset: str) -> list[int]:
    """The steps that the last job of each training of a dataset took."""
    logs = (project.directory / "results/own/logs/train").glob(f"{dataset}-*.log")
    return [log.read_text().count("train raw") for log in sorted(logs)]


def train_by_hand(project: Project, dataset: str) -> dict[str, object]:
    """x1 trained from scratch beside the study."""
    run = project.directory / f"results/own/runs/{dataset}/x1/seed0"
    scratch = project.directory / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    shutil.copy(run / "config.yaml", scratch)
    command = [sys.executable, "-m", "model.train", scratch, "--data-dir", "data"]
    subprocess.run([*command, "--device", "cpu"], cwd=project.directory, check=True)
    found: dict[str, object] = json.loads((scratch / "train.json").read_text())["sha256"]
    return found


def test_changed_images_make_that_dataset_s_runs_again_and_no_others(own: Project) -> None:
    before = results_of(own)
    write_images(own, "cats", seed=3)
    assert planned(own) == {"preprocess": 1, "train": 1, "measure": 1, "runs": 1}
    succeed(own)
    assert planned(own) == {}
    after = results_of(own)
    assert after.nll_nats["cats", "x1"] != before.nll_nats["cats", "x1"]
    assert after.nll_nats["dogs", "x1"] == before.nll_nats["dogs", "x1"]
    recorded = own.directory / "results/own/runs/cats/x1/seed0/train.json"
    assert json.loads(recorded.read_text())["sha256"] == train_by_hand(own, "cats")
    # And back again: the old weights come back without a step.
    write_images(own, "cats", seed=1)
    succeed(own)
    assert results_of(own).nll_nats["cats", "x1"] == before.nll_nats["cats", "x1"]
    assert steps_of(own, "cats") == [0]


def test_changed_images_are_noticed_without_the_arrays_too(own: Project) -> None:
    """The README of an earlier version told users to delete dataset.json."""
    before = results_of(own)
    write_images(own, "dogs", seed=2)
    shutil.rmtree(own.directory / "data/dogs")
    assert planned(own)["train"] == 1
    succeed(own)
    assert results_of(own).nll_nats["dogs", "x1"] != before.nll_nats["dogs", "x1"]
    assert planned(own) == {}


def test_a_touched_image_and_a_removed_dataset_make_nothing_again(own: Project) -> None:
    for path in (own.directory / "data/raw/cats").rglob("*.png"):
        os.utime(path)
    os.utime(own.directory / "data/cats/dataset.json")
    assert planned(own) == {}
    aside = own.directory / "aside"
    (own.directory / "data").rename(aside)
    try:
        assert planned(own) == {}
        shutil.copytree(aside / "raw", own.directory / "data/raw")  # the images without the arrays
        assert planned(own) == {}
    finally:
        shutil.rmtree(own.directory / "data", ignore_errors=True)
        aside.rename(own.directory / "data")


@pytest.mark.parametrize("preserve", [True, False], ids=["cp -a", "cp -r"])
def test_moved_data_are_the_same_data(
    own: Project, preserve: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = "-a" if preserve else "-r"
    subprocess.run(["cp", flags, own.directory / "data", tmp_path / "copy"], check=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    for place in (str(tmp_path / "copy"), "./data", "data/", "~/copy"):
        assert planned(own, f"data_dir={place}") == {}, place


def test_other_data_in_another_place_are_other_data(own: Project, tmp_path: Path) -> None:
    """Older than the results by their time, and other by their content."""
    shutil.copytree(own.directory / "data", tmp_path / "data")
    path = tmp_path / "data/cats/dataset.json"
    content = json.loads(path.read_text())
    content["sha256"]["test"] = "0" * 64
    path.write_text(json.dumps(content))
    os.utime(path, (0, 0))
    assert planned(own, f"data_dir={tmp_path / 'data'}")["train"] == 1


def test_a_shorter_trial_overwrites_no_result(own: Project) -> None:
    before = results_of(own)
    result = own.snakemake("iterations=10", study="own")
    assert result.returncode != 0
    lines = (result.stdout + result.stderr).strip().splitlines()
    (line,) = [line for line in lines if line.startswith("error in --config")]
    assert "results/own/runs/cats/x1/seed0 and 1 more finished 20 iterations" in line
    # Longer, and back to what it was, which costs no step.
    succeed(own, "iterations=30")
    assert set(results_of(own).iterations_done) == {30}
    succeed(own)
    pd.testing.assert_frame_equal(results_of(own), before)
    assert steps_of(own, "cats") == [0]
