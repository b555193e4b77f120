"""A shorter trial of a finished run is refused, and nothing else is."""

import json
from pathlib import Path
from typing import Any

import pytest
from trainings import ROOT, run_dir, train

from model.run_config import RunConfig
from model.validation import ConfigError
from study.planning.config_file import ConfigFile
from study.planning.shorter import check_not_shorter
from study.planning.study import Run, Study

FIRST = Run("digits", "x1", 0)
LENGTH = 4


def study(iterations: int | None = LENGTH, **model: Any) -> Study:
    file = ConfigFile.load(ROOT / "config.yaml", "tiny")
    object.__setattr__(file, "iterations", iterations)
    for name, value in model.items():
        file.datasets["digits"].model[name] = value
    return Study(file, "tiny")


def folder(results: Path) -> Path:
    return results / "tiny/runs/digits/x1/seed0"


def finish(results: Path, data_dir: Path, run: RunConfig) -> None:
    folder(results).parent.mkdir(parents=True, exist_ok=True)
    run_dir(folder(results).parent, run, "seed0")
    assert train(folder(results), data_dir) == 0


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    directory = tmp_path_factory.mktemp("results")
    finish(directory, data_dir, study().run_config(FIRST))
    return directory


@pytest.mark.parametrize("iterations", [LENGTH, LENGTH + 1, None])
def test_the_same_length_and_a_longer_one_are_fine(results: Path, iterations: int | None) -> None:
    check_not_shorter(study(iterations), results)


def test_a_shorter_one_is_refused_in_one_line(results: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check_not_shorter(study(LENGTH - 1), results)
    assert str(caught.value) == (
        f"iterations: {folder(results)} finished 4 iterations, and 3 would overwrite the result; "
        "give the trial a study of its own in config.yaml, or move the folder away"
    )


def test_of_another_config_it_is_another_run(results: Path) -> None:
    check_not_shorter(study(LENGTH - 1, num_mixtures=3), results)


def test_a_length_that_was_finished_before_comes_back(tmp_path: Path, data_dir: Path) -> None:
    for length in (LENGTH - 1, LENGTH):
        finish(tmp_path, data_dir, study(length).run_config(FIRST))
    check_not_shorter(study(LENGTH - 1), tmp_path)
    with pytest.raises(ConfigError, match="finished 4 iterations, and 2 would"):
        check_not_shorter(study(LENGTH - 2), tmp_path)


def test_moments_that_are_left_to_the_data_hide_nothing(tmp_path: Path, data_dir: Path) -> None:
    left_out = {"pixel_mean": None, "pixel_std": None}
    finish(tmp_path, data_dir, study(LENGTH, **left_out).run_config(FIRST))
    with pytest.raises(ConfigError, match="finished 4 iterations, and 3 would"):
        check_not_shorter(study(LENGTH - 1, **left_out), tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"step": 9}', '{"step": 9, "settings": []}'])
def test_a_damaged_record_is_no_finished_run(tmp_path: Path, content: str) -> None:
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "train.json").write_text(content)
    check_not_shorter(study(1), tmp_path)


def test_a_run_of_older_definitions_is_made_again_anyway(results: Path, tmp_path: Path) -> None:
    found = json.loads((folder(results) / "train.json").read_text())
    found["settings"]["definitions"] -= 1
    folder(tmp_path).mkdir(parents=True)
    (folder(tmp_path) / "train.json").write_text(json.dumps(found))
    check_not_shorter(study(LENGTH - 1), tmp_path)
