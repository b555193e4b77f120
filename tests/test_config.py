"""Run configs: reading, writing, and a hash that follows the result and nothing else."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from examples import tiny_run

from model.config import ConfigError, RunConfig


def test_a_run_config_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    run = tiny_run(model={"fourier": "position", "fourier_exponents": (1,)})
    path = tmp_path / "config.yaml"
    path.write_text(run.dump())
    assert RunConfig.load(path) == run
    assert RunConfig.load(path).hash == run.hash


@pytest.mark.parametrize(
    "train",
    [{"log_every": 3}, {"validate_every": 7}],
)
def test_hash_ignores_what_cannot_change_the_result(train: dict[str, Any]) -> None:
    assert tiny_run(train=train).hash == tiny_run().hash


@pytest.mark.parametrize(
    "differences",
    [
        {"seed": 1},
        {"dataset": "patches"},
        {"model": {"repeats": 2}},
        {"train": {"learning_rate": 0.1}},
        {"train": {"iterations": 99}},
    ],
)
def test_hash_follows_what_can_change_the_result(differences: dict[str, Any]) -> None:
    assert tiny_run(**differences).hash != tiny_run().hash


def test_hash_without_length_ignores_iterations_only() -> None:
    longer = tiny_run(train={"iterations": 99})
    assert longer.hash_without_length == tiny_run().hash_without_length
    assert tiny_run(seed=1).hash_without_length != tiny_run().hash_without_length


def test_hash_is_the_same_for_ever() -> None:
    """An option added with a default, or a field moved, must not retrain weeks of work."""
    assert tiny_run().hash == "f0ce70289be8ff8d"
    model = tiny_run().model
    assert dataclasses.replace(model, repeats=1) == model


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {}", "unknown key 'modle'; did you mean 'model'?"),
        ("model: {widht: 3}", "model: unknown key 'widht'; did you mean 'width'?"),
        ("dataset: digits", "variant is missing"),
        ("seed: [", "while parsing"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: ") as caught:
        RunConfig.load(path)
    assert message in str(caught.value)


def test_an_option_at_its_default_is_not_in_the_file() -> None:
    """So that a new option makes no job of an old run start again."""
    plain, shared = tiny_run(), tiny_run({"repeats": 2})
    assert set(yaml.safe_load(shared.dump())["model"]) - set(yaml.safe_load(plain.dump())["model"])
    assert "repeats" not in plain.dump()
    assert "gpus" not in plain.dump()
