"""Models that do not fit their data are told before anything runs, where the data are there."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from test_planning import SMALL, changed

from model.data.arrays import preprocess
from model.data.dataset_info import DatasetInfo
from model.data.datasets import DATASETS
from model.validation import ConfigError
from study.planning.content import StudyData
from study.planning.data import check_data
from study.planning.study import Study

ROOT = Path(__file__).parents[2]


def check(study: Study, directory: Path) -> None:
    check_data(study, StudyData(str(directory), directory / "results" / study.name / "runs"))


def write_info(data_dir: Path, dataset: str, **changes: Any) -> Path:
    path = data_dir / dataset / "dataset.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    info = DatasetInfo(
        name=dataset,
        version="",
        source="",
        licence="",
        split_description="",
        image_size=8,
        image_channels=1,
        num_images={"train": 4, "valid": 1, "test": 1},
        sha256={"train": "", "valid": "", "test": ""},
        pixel_mean=0.0,
        pixel_std=1.0,
    )
    path.write_text(json.dumps(asdict(info) | changes))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_size": 9},
            "its images are 9x9 with 1 channels ({path}), but variant r2 of study first has "
            "image_size 8 and image_channels 1",
        ),
        ({"image_channels": 3}, "its images are 8x8 with 3 channels ({path}), but variant r2"),
        (
            {"num_images": {"train": 3}},
            "batch_size 4 of variant r2 of study first exceeds its 3 training images ({path})",
        ),
    ],
)
def test_data_that_a_model_is_not_for(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = write_info(tmp_path, "grey", **changes)
    line = re.escape(f"datasets.grey: {message.format(path=path)}")
    with pytest.raises(ConfigError, match=f"^{line}"):
        check(Study.of_config(SMALL), tmp_path)


def test_data_that_fit_and_those_of_other_studies_are_no_mistake(tmp_path: Path) -> None:
    write_info(tmp_path, "grey")
    write_info(tmp_path, "colour", image_size=9)
    check(Study.of_config(SMALL), tmp_path)
    with pytest.raises(ConfigError, match=r"^datasets\.colour: its images are 9x9"):
        check(Study.of_config({**SMALL, "study": "second"}), tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"image_size": "x"}', "null"])
def test_a_damaged_description_is_one_line(tmp_path: Path, text: str) -> None:
    path = write_info(tmp_path, "grey")
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"dataset\.json is damaged; delete it, and snakemake"):
        check(Study.of_config(SMALL), tmp_path)


def test_absent_images_are_one_line_until_something_is_there(tmp_path: Path) -> None:
    study = Study.of_config(SMALL)
    with pytest.raises(ConfigError) as caught:
        check(study, tmp_path)
    assert str(caught.value).startswith("datasets.grey: none of the known datasets (celeba64, cif")
    assert str(caught.value).endswith(
        f"neither a folder {tmp_path}/raw/grey nor {tmp_path}/raw/grey.zip"
    )
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "grey.zip").touch()
    check(study, tmp_path)
    (tmp_path / "raw" / "grey.zip").unlink()
    (tmp_path / "raw" / "grey").mkdir()
    check(study, tmp_path)


def test_data_that_were_removed_after_the_last_training_are_not_missed(tmp_path: Path) -> None:
    study = Study.of_config(SMALL)
    for run in study.runs:
        folder = tmp_path / "results/first/runs/grey" / run.variant / f"seed{run.seed}"
        folder.mkdir(parents=True)
        (folder / "train.json").touch()
    check(study, tmp_path)
    (folder / "train.json").unlink()
    with pytest.raises(ConfigError, match="no images of your own"):
        check(study, tmp_path)


def test_what_preprocess_writes_is_understood(tmp_path: Path) -> None:
    preprocess(DATASETS["digits"], tmp_path)
    config = ROOT / "config.yaml"
    check(Study.load(config, "tiny"), tmp_path)
    study = Study.of_config(
        changed("datasets.digits", {**SMALL["datasets"]["grey"], "train": {"batch_size": 1298}})
        | {"studies": {"first": {**SMALL["studies"]["first"], "datasets": ["digits"]}}}
    )
    with pytest.raises(ConfigError, match=r"batch_size 1298 of variant r2 .* its 1297 training"):
        check(study, tmp_path)
