"""Values of config.yaml: finite, in a range that the message says, and answered within a second."""

import dataclasses
import re
import time
from typing import Any, get_type_hints

import pytest
from test_planning import SMALL, changed

from model.config import EvaluateConfig, ModelConfig, ProbeConfig, TrainConfig
from model.validation import ConfigError
from study.planning.study import Study

SECTIONS = {
    "model": ModelConfig,
    "train": TrainConfig,
    "evaluate": EvaluateConfig,
    "probe": ProbeConfig,
}
NUMERIC = [
    (section, field.name)
    for section, config in SECTIONS.items()
    for field in dataclasses.fields(config)
    if re.search(r"\b(int|float)\b", str(get_type_hints(config)[field.name]))
]
LISTS = ("betas", "temperatures", "fourier_exponents")


def refused(content: dict[str, Any]) -> str:
    """The line of a config that cannot work, which comes within a second."""
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        Study.of_config(content)
    assert time.monotonic() - start < 1
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    return message


@pytest.mark.parametrize(("section", "name"), NUMERIC)
@pytest.mark.parametrize(
    "value",
    [
        *(float("nan"), float("inf"), -float("inf"), -1e9, -(10**9), 10**30, 1e31, 10**5000),
        *("1", "2.0", True, [[1]], [], {}, {"a": 1}),
    ],
    ids=lambda value: str(type(value).__name__) if isinstance(value, int) else repr(value),
)
def test_no_numeric_field_takes_nonsense(section: str, name: str, value: Any) -> None:
    for nonsense in (value, [value]) if name in LISTS else (value,):
        message = refused(changed(f"base.{section}.{name}", nonsense))
        assert name in message or section in message


@pytest.mark.parametrize(("section", "name"), NUMERIC)
def test_what_is_no_integer_is_none_for_one(section: str, name: str) -> None:
    hint = str(get_type_hints(SECTIONS[section])[name])
    if "float" in hint or name in LISTS:
        return
    message = refused(changed(f"base.{section}.{name}", 2.0))
    assert message == f"base.{section}.{name}: expected an integer, found 2.0 (write 2)"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # The issue's.
        (
            "base.train.betas",
            [2, -1],
            "base.train.betas: must be at least 0 and less than 1, not 2",
        ),
        (
            "base.train.weight_decay",
            float("nan"),
            "base.train.weight_decay: must be finite, not .n",
        ),
        ("base.train.learning_rate", float("inf"), "base.train.learning_rate: must be finite, not"),
        ("base.probe.temperatures", [float("nan")], "base.probe.temperatures: must be finite, not"),
        ("base.train.warmup_iterations", -5, "base.train.warmup_iterations: must be at least 0"),
        ("base.model.bottleneck_multiple", float("inf"), "base.model.bottleneck_multiple: must be"),
        (
            "studies.first.seeds",
            2.0,
            "studies.first.seeds: expected an integer, found 2.0 (write 2",
        ),
        ("studies.first.seeds", 1_000_000, "studies.first.seeds: expected at most 10,000, found 1"),
        ("variants.r2.model.blocks", 10**9, "variants.r2.model.blocks: must be at least 1 and at "),
        (
            "variants.r2.model.blocks",
            "10**9",
            "variants.r2.model.blocks: expected an integer, foun",
        ),
        (
            "variants.r2.model.width",
            10**12,
            "variants.r2.model.width: must be at least 1 and at mo",
        ),
        (
            "variants.r2.model.encoder",
            "8x999999999",
            "variants.r2.model.encoder: 999,999,999 blocks one after the other; at most 10,000",
        ),
        # Their neighbours.
        ("base.train.betas", [0.9, 1], "base.train.betas: must be at least 0 and less than 1"),
        ("base.train.betas", [], "base.train.betas: expected more values, found []"),
        ("base.train.learning_rate", 0, "base.train.learning_rate: must be greater than 0 and at "),
        ("base.train.skip_threshold", 1e31, "base.train.skip_threshold: must be greater than 0"),
        ("base.probe.temperatures", [], "base.probe.temperatures: must be one number or more"),
        ("base.probe.temperatures", [0, 1], "base.probe.temperatures: must be greater than 0"),
        ("base.probe.temperatures", [1, 1], "base.probe.temperatures: must be one number or more"),
        ("base.probe.num_samples", 1, "base.probe.num_samples: must be at least 2 and at most"),
        ("studies.first.seeds", True, "studies.first.seeds: expected an integer, found true"),
        ("studies.first.seeds", None, "studies.first.seeds: expected an integer, found nothing"),
        ("iterations", 10**10, "iterations: expected at most 1,000,000,000, found 10000000000"),
        ("variants.r2.model.encoder", "8x" + "9" * 5000, "variants.r2.model.encoder: block string"),
        (
            "variants.r2.model.encoder",
            "٨x1",
            "variants.r2.model.encoder: block string '٨x1': entry",
        ),
        (
            "variants.r2.model.encoder",
            "8x1," * 2500,
            "variants.r2.model.encoder: block string '8x1",
        ),
        (
            "variants.r2.model.encoder",
            "8x1" * 5000,
            "variants.r2.model.encoder: text of 15,000 cha",
        ),
        (
            "variants.r2.model",
            {"blocks": 1000, "encoder": "8x11,8d2,4x1"},
            "variants.r2.model.encoder: 12,001 blocks one after the other; at most 10,000 can be",
        ),
        (
            "variants.r2.model",
            {"blocks": 100, "repeats": 1000},
            "variants.r2.model.blocks: encoder: 200,001 blocks one after the other; at most",
        ),
        (
            "variants.r2.model",
            {"repeats": 1000, "encoder": "8x10r10,8d2,4x1"},
            "variants.r2.model.encoder: 101,001 blocks one after the other; at most 10,000 can be",
        ),
        (
            "datasets.grey.model",
            {**SMALL["datasets"]["grey"]["model"], "image_size": 2048, "image_channels": 64},
            "datasets.grey.model.image_size: images of 268,435,456 values; at most 16,777,216 can",
        ),
        (
            "variants.r2.model",
            {"zdim": 60_000, "zdim_multiple": 60_000},
            "variants.r2.model.zdim: latents of 3,600,000,000 channels; at most 65,536 can be",
        ),
        (
            "variants.of-colour.datasets.colour.model",
            {"fourier": "value", "fourier_exponents": [10**9]},
            "variants.of-colour.datasets.colour.model.fourier_exponents: must be at least 0 and at",
        ),
        (
            "variants.of-colour.datasets.colour.model",
            {"fourier": "value", "fourier_exponents": [5, 5]},
            "variants.of-colour.datasets.colour.model.fourier_exponents: must be different",
        ),
    ],
)
def test_a_value_out_of_range_is_one_line(path: str, value: Any, message: str) -> None:
    assert refused(changed(path, value)).startswith(message)


def test_seeds_times_variants_has_a_limit() -> None:
    content = changed("studies.first.seeds", 10_000)
    names = {f"v{n}": {"model": {"zdim": n + 1}} for n in range(11)}
    content["variants"] |= names
    content["ablations"]["sharing"]["variants"] = list(names)
    message = "studies.first: 110,000 runs; at most 100,000 can be"
    assert refused(content) == message


def test_the_number_of_names_and_their_lineage_have_limits() -> None:
    content = changed("variants.v0", {})
    content["variants"] |= {f"v{n}": {"extends": f"v{n - 1}"} for n in range(1, 900)}
    assert "more than 20 variants in a row" in refused(content)
    content["variants"] |= {f"w{n}": {} for n in range(1000)}
    assert refused(content).startswith("variants: 1,906 of them; at most 1,000 can be")
    content = changed("ablations", {f"a{n}": SMALL["ablations"]["sharing"] for n in range(20_000)})
    assert refused(content).endswith("more than 100,000 values")


def test_a_mapping_in_a_mapping_without_end_is_one_line() -> None:
    content: dict[str, Any] = changed("base.model.width", 8)
    content["base"]["model"]["width"] = content
    assert "nested more than 30 deep" in refused(content)


def test_a_long_wrong_text_is_shortened() -> None:
    for path in ("study", "variants.r2.extends", "variants.r2.model.pooling", "base.model.width"):
        assert "xxx" in refused(changed(path, "x" * 9000))
    assert "xxx" in refused(changed(f"variants.r2.{'x' * 9000}", 1))
