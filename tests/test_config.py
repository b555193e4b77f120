"""Run configs: reading, writing, and a hash that follows the result and nothing else."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from examples import tiny_run

from model.config import (
    ConfigError,
    EvaluateConfig,
    ModelConfig,
    ProbeConfig,
    TrainConfig,
    descriptions,
)
from model.definitions import DEFINITIONS
from model.run_config import RunConfig


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


def test_an_identity_is_of_settings_seed_and_data_but_not_of_the_length() -> None:
    here = tiny_run().identity("data")
    assert tiny_run(train={"iterations": 99}).identity("data") == here
    assert tiny_run(train={"log_every": 3, "gpus": 2}).identity("data") == here
    assert tiny_run(seed=1).identity("data") != here
    assert tiny_run(model={"width": 16}).identity("data") != here
    assert tiny_run().identity("other data") != here


def test_settings_hold_every_field_and_make_the_same_run() -> None:
    run = tiny_run(model={"skip": "mirror"}, train={"betas": (0.9, 0.99)})
    settings = json.loads(json.dumps(run.settings))
    assert RunConfig.of_settings(settings) == run
    assert set(settings["model"]) == {f.name for f in dataclasses.fields(ModelConfig)}
    assert set(settings["train"]) == {f.name for f in dataclasses.fields(TrainConfig)}


def test_a_difference_names_the_setting_that_a_result_was_made_with() -> None:
    run, settings = tiny_run(), tiny_run(train={"iterations": 99, "log_every": 2}).settings
    assert run.difference(settings) is None
    del settings["model"]["skip"]  # not there yet when that run was trained
    assert run.difference(settings) is None
    mirror = tiny_run(model={"skip": "mirror"})
    assert mirror.difference(settings) == "model.skip was last and is mirror"
    settings["model"]["skip"] = "mirror"
    assert run.difference(settings) == "model.skip was mirror and is last"


def test_defaults_are_those_that_results_were_made_with() -> None:
    """A default is in no hash: whoever changes one raises DEFINITIONS, or adds a new option."""
    defaults = {
        field.name: field.default
        for config in (ModelConfig, TrainConfig)
        for field in dataclasses.fields(config)
        if field.default is not dataclasses.MISSING
    }
    assert defaults == {
        "pixel_mean": None,
        "pixel_std": None,
        "zdim_multiple": 1,
        "bottleneck_multiple": 0.25,
        "num_mixtures": 10,
        "no_bias_above": 64,
        "likelihood_size": None,
        "blocks": 1,
        "repeats": 1,
        "state_norm": "none",
        "cell": "vdvae",
        "residual_cells": True,
        "skip": "last",
        "resolutions": "multiple",
        "fourier": "none",
        "fourier_exponents": (5, 6),
        "pooling": "average",
        "gradient_checkpointing": False,
        "kl_warmup_iterations": 0,
        "precision": "fp32",
        "gpus": 1,
        "cuda_graph": False,
    }


def test_hash_is_the_same_for_ever() -> None:
    """An option added with a default, or a field moved, must not retrain weeks of work."""
    assert (DEFINITIONS, tiny_run().hash) == (4, "f0035af42aca96f5")
    model = tiny_run().model
    assert dataclasses.replace(model, repeats=1) == model


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("modle: {}", "unknown key 'modle'; did you mean 'model'?"),
        ("model: {widht: 3}", "model: unknown key 'widht'; did you mean 'width'?"),
        ("dataset: digits", "variant is missing"),
        ("model: {width: wide}", "model.width: expected an integer, found 'wide'"),
        ("model: {width: true}", "model.width: expected an integer, found true"),
        ("model: {width: 8.0}", "model.width: expected an integer, found 8.0 (write 8)"),
        ("model: {pixel_std: 1e2}", "model.pixel_std: expected a number, found '1e2' (YAML reads"),
        ("model: {residual_cells: 1}", "model.residual_cells: expected true or false, found 1"),
        ("model: {encoder: 8}", "model.encoder: expected text, found 8"),
        ("model: {likelihood_size: [8]}", "model.likelihood_size: expected an integer, found [8]"),
        ("model: {skip: lats}", "'lats' is none of last, mirror; did you mean 'last'?"),
        ("model: {skip: off}", "model.skip: expected one of last, mirror, found false"),
        ("train: {betas: 0.9}", "train.betas: expected a list, found 0.9"),
        ("train: {betas: [0.9]}", "train.betas: expected more values, found [0.9]"),
        ("train: {betas: [1, 2, 3]}", "train.betas: expected at most 2 values, found [1, 2, 3]"),
        ("model: wide", "model: expected a mapping, found 'wide'"),
        ("model:", "model: expected a mapping, found nothing"),
        ("- model", 'expected a mapping, found ["model"]'),
        ("seed: [", "line 2, column 1: a bracket or brace is not closed"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml: ") as caught:
        RunConfig.load(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_cannot_work_in_a_file_is_named_with_its_place(tmp_path: Path) -> None:
    content = yaml.safe_load(tiny_run().dump())
    content["model"]["width"] = 0
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=r"config\.yaml: model\.width: must be at least 1 .*0$"):
        RunConfig.load(path)


def test_a_run_of_another_version_of_the_definitions_is_refused(tmp_path: Path) -> None:
    """Its numbers mean something else: neither continued nor evaluated by this code."""
    path = tmp_path / "config.yaml"
    run = tiny_run()
    path.write_text(run.dump().replace(f"definitions: {DEFINITIONS}", "definitions: 1"))
    with pytest.raises(ConfigError, match=r"definitions: the run is of version 1, and this code"):
        RunConfig.load(path)
    path.write_text(run.dump().replace(f"definitions: {DEFINITIONS}\n", ""))
    with pytest.raises(ConfigError, match=r"definitions is missing"):
        RunConfig.load(path)


def test_an_integer_is_a_number_and_a_list_a_tuple(tmp_path: Path) -> None:
    """In a file, 50 is 50.0: the two must not differ in hash, nor in the column's type."""
    run = tiny_run(train={"gradient_clip": 50.0, "betas": (0.0, 0.9)})
    path = tmp_path / "config.yaml"
    path.write_text(run.dump().replace("50.0", "50").replace("- 0.0", "- 0"))
    read = RunConfig.load(path)
    assert (read.train.gradient_clip, read.train.betas) == (50.0, (0.0, 0.9))
    assert isinstance(read.train.gradient_clip, float)
    assert read.hash == run.hash


def test_the_fast_dumper_writes_what_the_plain_one_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another text would start every run again."""
    run = tiny_run(model={"fourier_exponents": (1, 2)}, variant="yes", train={"weight_decay": 1e-5})
    text = run.dump()
    monkeypatch.setattr("model.run_config._Dumper", yaml.SafeDumper)
    assert run.dump() == text


@pytest.mark.parametrize("config", [ModelConfig, TrainConfig, EvaluateConfig, ProbeConfig])
def test_every_field_says_what_it_means(config: type) -> None:
    meanings = descriptions(config)
    assert list(meanings) == [field.name for field in dataclasses.fields(config)]
    assert all(meaning and "\n" not in meaning for meaning in meanings.values())


def test_results_readme_repeats_what_fields_mean() -> None:
    text = (Path(__file__).parents[1] / "results" / "README.md").read_text()
    for name, meaning in (descriptions(ModelConfig) | descriptions(TrainConfig)).items():
        rows = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        assert any(row.endswith(f"| {meaning} |") for row in rows), name


def test_an_option_at_its_default_is_not_in_the_file() -> None:
    """So that a new option makes no job of an old run start again."""
    plain, shared = tiny_run(), tiny_run({"repeats": 2})
    assert set(yaml.safe_load(shared.dump())["model"]) - set(yaml.safe_load(plain.dump())["model"])
    assert "repeats" not in plain.dump()
    assert "gpus" not in plain.dump()
