"""Moments of the pixels that a config leaves out are those of the training images."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from examples import tiny_run
from trainings import run_dir, summary, train

from model.config import ConfigError
from model.data.arrays import load_images
from model.evaluate import main as evaluate
from model.run_config import RunConfig
from model.sample import main as sample

LEFT_OUT: dict[str, Any] = {"pixel_mean": None, "pixel_std": None}


def test_they_are_taken_from_the_data_recorded_and_used(tmp_path: Path, data_dir: Path) -> None:
    directory = run_dir(tmp_path, tiny_run(model=LEFT_OUT))
    assert "pixel_mean" not in (directory / "config.yaml").read_text()
    assert train(directory, data_dir) == 0
    found = summary(directory)
    p = float(np.mean(load_images(data_dir, "digits", "train"))) / 255  # of a white pixel
    expected = {"pixel_mean": pytest.approx(p), "pixel_std": pytest.approx((p * (1 - p)) ** 0.5)}
    model = found["settings"]["model"]
    assert {name: model[name] for name in LEFT_OUT} == expected
    assert found["config_hash"] == tiny_run(model=LEFT_OUT).hash
    # The same numbers, given: the same weights.
    given = tiny_run(model={name: model[name] for name in LEFT_OUT})
    directly = run_dir(tmp_path, given, "given")
    assert train(directly, data_dir) == 0
    assert summary(directly)["settings"] == found["settings"]
    arguments = ["--data-dir", str(data_dir), "--device", "cpu"]
    for command in (evaluate, sample):
        for run in (directory, directly):
            assert command([str(run), *arguments]) == 0
    samples = [(run / "samples.png").read_bytes() for run in (directory, directly)]
    assert samples[0] == samples[1]
    bounds = [pd.read_parquet(run / "test.parquet") for run in (directory, directly)]
    pd.testing.assert_frame_equal(bounds[0], bounds[1])


def test_a_resumed_run_keeps_them(tmp_path: Path, data_dir: Path) -> None:
    first = run_dir(tmp_path, tiny_run(model=LEFT_OUT))
    assert train(first, data_dir) == 0
    weights = (first / "model.safetensors").read_bytes()
    run_dir(tmp_path, tiny_run(model=LEFT_OUT, train={"iterations": 20}))
    assert train(first, data_dir) == 0
    assert [s["first_step"] for s in summary(first)["segments"]] == [0, 12]
    run_dir(tmp_path, tiny_run(model=LEFT_OUT))
    assert train(first, data_dir) == 0
    assert (first / "model.safetensors").read_bytes() == weights


def test_one_alone_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="pixel_mean: give both or neither"):
        tiny_run(model={"pixel_mean": None})


def test_grey_levels_have_the_moments_of_their_range() -> None:
    levels = {"likelihood": "discretised_logistics", "num_mixtures": 2}
    config = tiny_run(model={**LEFT_OUT, **levels}).model
    given = config.with_pixel_moments(100.0, 50.0)
    assert (given.pixel_mean, given.pixel_std) == (100.0, 50.0)
    assert given.with_pixel_moments(1.0, 1.0) == given
    flat = config.with_pixel_moments(7.0, 0.0)
    assert flat.pixel_std == 1.0


def test_settings_with_them_make_the_run_that_was_trained() -> None:
    run = tiny_run(model=LEFT_OUT)
    trained = dataclasses.replace(run, model=run.model.with_pixel_moments(51.0, 9.0))
    assert RunConfig.of_settings(trained.settings).model.pixel_mean == pytest.approx(0.2)
