"""A zip of photographs as a user brings it, through the pipeline, and its options changed."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from project import Project

DATASET = """
  portraits:
    images: {crop: center, resize: bilinear, valid: 6, test: 0.2}
    model: {image_size: 8, image_channels: 1, likelihood: discretised_logistics, pixel_mean: 127.0,
      pixel_std: 64.0, encoder: "8x1,8d2,4x1,4d4,1x1", decoder: "1x1,4m1,4x1,8m4,8x1", width: 8,
      zdim: 2, num_mixtures: 2}
    train: {batch_size: 8, learning_rate: 0.003, ema_rate: 0.99, gradient_clip: 200.0,
      skip_threshold: 400.0}
"""
# After an option without values: what follows --config is taken for config.
TRAINED = ("--show-failed-logs", "results/photographs/runs/portraits/x1/seed0/model.safetensors")
STUDY = """
  photographs:
    datasets: [portraits]
    seeds: 1
    ablations: [state-norm]
    train: {iterations: 6, warmup_iterations: 2, validation_images: 4, validate_every: 5,
      log_every: 5}
    evaluate: {importance_samples: 1}
    probe: {num_samples: 4, temperatures: [1.0]}
"""


def write_zip(path: Path) -> None:
    """40 portraits of several sizes in two class folders, and a file that is no image."""
    numbers = np.random.default_rng(0)
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for n in range(40):
            width = int(numbers.integers(10, 40))
            size = (width, width + int(numbers.integers(1, 20)))
            pixels = numbers.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "JPEG")
            archive.writestr(f"photos/{'ab'[n % 2]}/{n}.jpg", stream.getvalue())
        archive.writestr("photos/about.txt", "no image")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.edit("config.yaml", "\ndatasets:\n", f"\ndatasets:{DATASET}")
    project.edit("config.yaml", "\nstudies:\n", f"\nstudies:{STUDY}")
    project.edit("config.yaml", "variants: [x1, normalised, normalised-rms]", "variants: [x1]")
    return project


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_zip_of_photographs_is_a_dataset_made_as_config_yaml_says(project: Project) -> None:
    write_zip(project.directory / "data/raw/portraits.zip")
    succeed(project)
    assert project.planned(*TRAINED, study="photographs") == {}
    path = project.directory / "data/portraits/dataset.json"
    info = json.loads(path.read_text())
    assert info["num_images"] == {"train": 26, "valid": 6, "test": 8}
    assert (info["image_size"], info["image_channels"]) == (8, 1)
    steps = info["images"]["steps"]
    assert (steps["JPEG RGB"], steps["cropped to the central square"]) == (40, 40)
    log = (project.directory / "data/logs/preprocess-portraits.log").read_text()
    assert "left out: photos/about.txt: no image that Pillow reads" in log
    # Another option makes other arrays, and the runs again.
    project.edit("config.yaml", "resize: bilinear, valid: 6", "resize: box, valid: 6")
    planned = project.planned(*TRAINED, study="photographs")
    assert planned == {"preprocess": 1, "train": 1}
    succeed(project)
    assert json.loads(path.read_text())["sha256"] != info["sha256"]
    assert project.planned(*TRAINED, study="photographs") == {}


def succeed(project: Project) -> None:
    result = project.snakemake(*TRAINED, study="photographs")
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_is_missing_is_one_line(project: Project) -> None:
    result = project.snakemake("--dry-run", study="photographs")
    assert result.returncode == 1
    (line,) = [line for line in (result.stdout + result.stderr).splitlines() if "error" in line]
    assert "data/raw/portraits.zip" in line
    (project.directory / "data/raw/portraits").mkdir(parents=True)
    arrays = "data/portraits/dataset.json"
    assert project.snakemake("--show-failed-logs", arrays, study="photographs").returncode == 1
    log = (project.directory / "data/logs/preprocess-portraits.log").read_text()
    assert log == "error: data/raw/portraits: no images\n"
