"""Whether a run's data have changed since, as far as that is known without reading an image."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.data.__main__ import main
from model.data.dataset_info import load_info
from study.planning.content import StudyData
from study.stale_data import StaleData


@pytest.fixture
def data(tmp_path: Path) -> StudyData:
    """A dataset of a user's own, as it is when it has been made."""
    for split in ("train", "valid", "test"):
        folder = tmp_path / "raw/cats" / split
        folder.mkdir(parents=True)
        for n in range(4):
            Image.fromarray(np.full((8, 8, 3), 40 * n, np.uint8)).save(folder / f"{n}.png")
    assert main(["preprocess", "cats", "--data-dir", str(tmp_path)]) == 0
    return StudyData(str(tmp_path), tmp_path / "runs")


@pytest.fixture
def record(data: StudyData) -> dict[str, Any]:
    """What a training on it records."""
    info = load_info(data.data_dir, "cats")
    return {"dataset_sha256": info.dataset_sha256, "raw_sha256": info.raw_sha256}


def test_images_that_change(data: StudyData, record: dict[str, Any]) -> None:
    """Until `study plan` or snakemake has read them, nobody knows; then it is known."""
    assert not StaleData(data).is_of_others("cats", record)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(
        Path(data.data_dir) / "raw/cats/train/new.png"
    )
    look = StaleData(data)
    assert not look.is_of_others("cats", record)
    assert look.unread == ["cats"]
    assert data.content("cats", "x1", 0) != record["dataset_sha256"]  # as plan asks
    look = StaleData(data)
    assert look.is_of_others("cats", record)
    assert look.unread == []


def test_touched_images_are_the_same_once_they_were_read(
    data: StudyData, record: dict[str, Any]
) -> None:
    os.utime(Path(data.data_dir) / "raw/cats/train/0.png", (1, 1))
    look = StaleData(data)
    assert not look.is_of_others("cats", record)
    assert look.unread == ["cats"]
    assert data.content("cats", "x1", 0) == record["dataset_sha256"]
    look = StaleData(data)
    assert not look.is_of_others("cats", record)
    assert look.unread == []


def test_arrays_of_another_content_or_none(
    data: StudyData, record: dict[str, Any], tmp_path: Path
) -> None:
    assert StaleData(data).is_of_others("cats", record | {"dataset_sha256": "ee" * 32})
    (tmp_path / "cats/dataset.json").unlink()
    assert not StaleData(data).is_of_others("cats", record)
    assert StaleData(data).is_of_others("cats", record | {"raw_sha256": "ee" * 32})
    nowhere = StaleData(StudyData(str(tmp_path / "nowhere"), tmp_path / "runs"))
    assert not nowhere.is_of_others("cats", record)
