"""Configs that nobody thought of: each has a meaning, or one line says why it has none.

A small valid config is mutated. `make soak` makes more of them: CONFIG_EXAMPLES=10000.
"""

import copy
import datetime
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_planning import SMALL

from model.run_config import RunConfig
from model.validation import ConfigError
from model.yaml_file import load_yaml
from study.planning.config_file import ConfigFile
from study.planning.study import Study

EXAMPLES = int(os.environ.get("CONFIG_EXAMPLES", "300"))
RESULTS = Path("/results")
SECONDS = 1.0
T = TypeVar("T")

# --- values: of each kind that YAML knows, and what people type -------------------------------

NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 3, 7, 10**9, 10**12, 2**63, 2**64, -(10**30), 10**400]),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, 2.0, 1e-320, 1e308, float("inf"), float("nan")]),
    st.integers(),
    st.integers(1, 40),
    st.floats(),
    st.floats(0, 1),
)
LAYOUTS = st.lists(
    st.builds(
        "{}{}{}".format,
        st.sampled_from([8, 4, 2, 1, 16, 0, 10**9]),
        st.sampled_from(["x", "d", "m", "r", "x2r", "y", ""]),
        st.sampled_from([1, 2, 4, 8, 20, 0, 999_999_999, 10**30]),
    ),
    max_size=6,
).map(",".join)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.text("abx10.-_/", max_size=12),
    LAYOUTS,
    st.sampled_from(["", "x" * 300, "../x", "$(touch x)", "w{8}", "2e-3", "2.0", "10**9", "null"]),
    st.sampled_from(["x1", "r2", "wide", "grey", "colour", "sharing", "width", "first", "second"]),
    st.sampled_from(["db2", "haar", "position", "value", "l2", "mirror", "single", "markov"]),
)
ODD = st.sampled_from([None, True, False, datetime.date(2024, 10, 1), b"x", (), set(), "\ud800"])
PLAIN = st.one_of(NUMBERS, TEXTS, ODD)
KEYS = st.one_of(TEXTS, TEXTS, TEXTS, st.integers(-1, 9), st.floats(), st.none(), st.booleans())


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


VALUES = st.one_of(
    PLAIN,
    PLAIN,
    st.lists(PLAIN, max_size=4),
    st.lists(NUMBERS, max_size=3),
    st.dictionaries(KEYS, PLAIN, max_size=3),
    st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3), max_leaves=8),
    st.integers(1, 150).map(nested),
)


# --- mutations of the small config -----------------------------------------------------------


def containers(value: Any, depth: int = 9) -> Iterator[Any]:
    """Every mapping and list inside to some depth, the whole first."""
    if isinstance(value, dict | list) and depth:
        yield value
        for content in list(value.values() if isinstance(value, dict) else value):
            yield from containers(content, depth - 1)


# Mostly such as are accepted; shared by all fields of a type.
INTEGERS = st.one_of(*[st.integers(1, 12)] * 4, NUMBERS)
FRACTIONS = st.one_of(*[st.floats(0, 1, exclude_min=True, exclude_max=True)] * 4, NUMBERS)
TOWERS = st.sampled_from(
    [("8x1,8d2,4x1", "4x1,8m4,8x1"), ("8x2r3", "8x1"), ("8d8,1x2", "1x1,8m1"), ("8x1", "4x1")]
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["encoder", "decoder"], st.one_of(TOWERS.map(lambda t: t[0]), LAYOUTS)),
    **dict.fromkeys(["width", "zdim", "zdim_multiple", "num_mixtures"], INTEGERS),
    **dict.fromkeys(["blocks", "repeats", "no_bias_above"], INTEGERS),
    "likelihood_size": st.one_of(st.sampled_from([2, 4, 6, 8, None]), NUMBERS),
    "bottleneck_multiple": FRACTIONS,
    "fourier_exponents": st.lists(st.one_of(st.integers(0, 1), NUMBERS), max_size=3),
    "fourier": st.sampled_from(["none", "value", "position"]),
    "pooling": st.sampled_from(["average", "haar", "db2", "sym4", "coif1", "db99", "x"]),
    "resolutions": st.sampled_from(["multiple", "single"]),
    "cell": st.sampled_from(["vdvae", "nvae", "markov"]),
    "residual_cells": st.booleans(),
}
TRAINING: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(["iterations", "batch_size", "warmup_iterations", "gpus"], INTEGERS),
    **dict.fromkeys(["learning_rate", "weight_decay", "ema_rate", "skip_threshold"], FRACTIONS),
    "betas": st.lists(FRACTIONS, min_size=2, max_size=2),
}


@st.composite
def configs(draw: st.DrawFn) -> Any:
    content = copy.deepcopy(SMALL)
    kinds = draw(
        st.sampled_from([["field"], ["field", "value", "key", "rename", "remove", "swap"]])
    )
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(kinds))
        if kind == "field":  # a meaningful one, so that some are accepted
            section, fields = draw(st.sampled_from([("model", FIELDS), ("train", TRAINING)]))
            name = draw(st.sampled_from(sorted(fields)))
            variant = content.get("variants")
            layer = variant.get("r2") if isinstance(variant, dict) else None
            if isinstance(layer, dict):
                layer.setdefault(section, {})
                if isinstance(layer[section], dict):
                    layer[section][name] = draw(fields[name])
            continue
        found = [c for c in containers(content) if c]
        if not found:
            break
        chosen = draw(st.sampled_from(found))
        at = draw(st.sampled_from(list(chosen) if isinstance(chosen, dict) else range(len(chosen))))
        if kind == "value":
            chosen[at] = draw(VALUES)
        elif kind == "key" and isinstance(chosen, dict):
            chosen[draw(KEYS)] = draw(st.one_of(VALUES, st.just(copy.deepcopy(chosen[at]))))
        elif kind == "rename" and isinstance(chosen, dict):
            chosen[draw(KEYS)] = chosen.pop(at)
        elif kind == "swap":
            chosen[at] = draw(st.sampled_from([copy.deepcopy(c) for c in found]))
        else:
            del chosen[at]
    if draw(st.integers(0, 30)) == 0:
        content = draw(VALUES)
    return content


# --- the property ------------------------------------------------------------------------------


def check_meaning(study: Study, path: Path) -> None:
    """Every run has a config that is read back as it was, and a folder of its own in results/."""
    folders = set()
    configs_seen = set()
    for run in study.runs:
        folder = RESULTS / study.name / "runs" / run.dataset / run.variant / f"seed{run.seed}"
        assert Path(os.path.normpath(folder)).parts == folder.parts
        assert len(folder.parts) == 7
        folders.add(str(folder).lower())
        if run.seed == 0:
            config = study.run_config(run)
            path.write_text(config.dump())
            assert RunConfig.load(path) == config
            assert RunConfig.load(path).hash == config.hash
            configs_seen.add((run.dataset, run.variant))
    assert len(folders) == len(study.runs) > 0
    for dataset in study.datasets:
        assert study.evaluate_config(dataset).batch_size >= 1
        assert len(study.probe_config(dataset).temperatures) >= 1


def check_error(error: ConfigError) -> None:
    text = str(error)
    assert text.isprintable()
    assert 10 < len(text) < 1000
    assert "Traceback" not in text


def answer_of(read: Callable[[], T], tries: int = 3) -> T | None:
    """What is read, or None after a ConfigError of one line; either takes less than a second.

    Of CPU time, but a busy machine or a garbage collection may make one try longer than it is.
    """
    start = time.process_time()
    try:
        answer = read()
    except ConfigError as error:
        check_error(error)
        answer = None
    if time.process_time() - start < SECONDS:
        return answer
    assert tries > 1
    return answer_of(read, tries - 1)


@pytest.mark.timeout(0)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES <= 300,  # CI asks the same each time, a soak something new
    suppress_health_check=list(HealthCheck),
)
@given(configs())
def test_a_config_has_a_meaning_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "config_properties.yaml"
    study = answer_of(lambda: Study.of_config(content))
    if study is not None and len(study.runs) < 100:
        check_meaning(study, path)


@pytest.mark.timeout(0)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=EXAMPLES <= 300,
    suppress_health_check=list(HealthCheck),
)
@given(st.data())
def test_a_text_is_read_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Lines and characters of a config file are left out, doubled, or put in."""
    text = yaml.safe_dump(SMALL, sort_keys=False, width=60)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        to = data.draw(st.integers(at, min(len(text), at + 40)))
        noise = st.text("\t\n {}[]:,'\"&*!#%@-?|>xé\x00\ud7ff", max_size=4)
        text = text[:at] + data.draw(st.one_of(st.just(text[at:to] * 2), noise)) + text[to:]
    path = tmp_path_factory.getbasetemp() / "text_properties.yaml"
    path.write_text(text, encoding="utf-8")
    if answer_of(lambda: ConfigFile.load(path, "first")) is not None:
        assert load_yaml(path) == yaml.safe_load(text)
