"""From config.yaml to runs: layers, and every mistake named with the layer in which it stands."""

import copy
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.config import ConfigError
from study.planning.ablation import Ablation
from study.planning.study import Run, Study

ROOT = Path(__file__).parents[2]
TOWERS = {"encoder": "8x1,8d2,4x1", "decoder": "4x1,8m4,8x1"}
BINARY = {"image_channels": 1, "likelihood": "bernoulli", "pixel_mean": 0.5, "pixel_std": 0.5}
RGB = {**BINARY, "image_channels": 3, "likelihood": "discretised_logistics"}
SMALL: dict[str, Any] = {
    "study": "first",
    "data_dir": "data",
    "data_mirror": None,
    "iterations": None,
    "base": {
        "model": {"image_size": 8, "width": 8, "zdim": 2},
        "train": {
            **{"batch_size": 4, "learning_rate": 0.1, "weight_decay": 0, "betas": [0.9, 0.9]},
            **{"warmup_iterations": 1, "ema_rate": 0.9, "gradient_clip": 1, "skip_threshold": 9},
            **{"diverged_after": 5, "validation_images": 1, "validate_every": 1, "log_every": 1},
        },
        "evaluate": {"batch_size": 10, "importance_samples": 2},
        "probe": {"num_samples": 10, "temperatures": [1]},
    },
    "datasets": {"grey": {"model": {**BINARY, **TOWERS}}, "colour": {"model": {**RGB, **TOWERS}}},
    "variants": {
        "x1": {},
        "r2": {"model": {"repeats": 2}},
        "wide": {"model": {"width": 16}, "datasets": {"colour": {"model": {"width": 32}}}},
        "wide-r2": {"extends": "wide", "model": {"repeats": 2}},
        "of-colour": {"datasets": {"colour": {"model": {"fourier": "value"}}}},
        "of-no-ablation": {"model": {"zdim": 3}},
    },
    "ablations": {
        "sharing": {"title": "Sharing", "variants": ["x1", "r2"]},
        "width": {"title": "Width", "variants": {"colour": ["x1", "wide"], "grey": ["wide-r2"]}},
        "of-no-study": {"title": "None", "variants": {"colour": ["of-colour"]}},
    },
    "studies": {
        "first": {
            "datasets": ["grey"],
            "seeds": 2,
            "ablations": ["sharing"],
            "train": {"iterations": 10},
        },
        "second": {
            "datasets": {"grey": {"seeds": 1}, "colour": {"train": {"iterations": 7}}},
            "seeds": 3,
            "ablations": ["sharing", "width"],
            "train": {"iterations": 20},
        },
    },
}


def change(content: dict[str, Any], path: str, value: Any) -> None:
    *parents, key = path.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
    content[key] = value


def changed(path: str, value: Any) -> dict[str, Any]:
    content = copy.deepcopy(SMALL)
    change(content, path, value)
    return content


def test_a_study_has_each_run_once() -> None:
    study = Study.of_config({**SMALL, "study": "second"})
    assert study.runs == [
        *(Run("colour", variant, seed) for variant in ("r2", "wide", "x1") for seed in range(3)),
        *(Run("grey", variant, 0) for variant in ("r2", "wide-r2", "x1")),
    ]


def test_layers_win_in_their_order() -> None:
    study = Study.of_config({**SMALL, "study": "second"})

    def widths(variant: str) -> list[int]:
        return [study.run_config(Run(d, variant, 0)).model.width for d in ("grey", "colour")]

    assert widths("x1") == [8, 8]
    assert widths("wide") == widths("wide-r2") == [16, 32]
    assert study.run_config(Run("grey", "wide-r2", 0)).model.repeats == 2
    assert study.run_config(Run("grey", "x1", 0)).train.iterations == 20
    assert study.run_config(Run("colour", "x1", 0)).train.iterations == 7


def test_a_length_for_the_whole_study_wins() -> None:
    study = Study.of_config({**SMALL, "study": "second", "iterations": 3})
    assert {study.run_config(run).train.iterations for run in study.runs} == {3}


@pytest.mark.parametrize("section", ["evaluate", "probe"])
def test_a_study_evaluates_and_probes_each_dataset_in_its_own_way(section: str) -> None:
    field = {"evaluate": "batch_size", "probe": "num_samples"}[section]
    content = changed(f"studies.second.datasets.colour.{section}", {field: 77})
    study = Study.of_config({**content, "study": "second"})
    configs = {"evaluate": study.evaluate_config, "probe": study.probe_config}
    assert getattr(configs[section]("colour"), field) == 77
    assert getattr(configs[section]("grey"), field) == 10


def test_a_run_is_refined_as_all_ablations_ask_that_compare_it() -> None:
    content = changed("ablations.sharing.refinement", [4, 1])
    content["ablations"]["other"] = {"title": "Other", "variants": ["x1"], "refinement": [2, 4]}
    content["studies"]["first"]["ablations"] = ["sharing", "other"]
    content["studies"]["first"]["refine"] = {"num_noises": 7}
    study = Study.of_config(content)
    assert study.refinement("grey", "x1") == [1, 2, 4]
    assert study.refinement("grey", "r2") == [1, 4]
    assert study.refine_config("grey").num_noises == 7
    assert Study.of_config(SMALL).refinement("grey", "x1") == []


def test_a_variant_without_steps_is_refused_in_the_dry_run() -> None:
    content = changed("ablations.sharing.refinement", [1, 2])
    content["variants"]["r2"] = {"model": {"state_norm": "l2"}}
    message = "variant r2 on grey in study first: state_norm: l2 leaves no step"
    with pytest.raises(ConfigError, match=message):
        Study.of_config(content)


def test_an_integer_stands_for_a_number() -> None:
    train = Study.of_config(SMALL).run_config(Run("grey", "x1", 0)).train
    assert isinstance(train.skip_threshold, float)
    assert train.skip_threshold == 9


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        # Keys and types, in the order of the file: of what the chosen study uses, and of the rest.
        ("data_miror", "x", "unknown key 'data_miror'; did you mean 'data_mirror'?"),
        ("study", "frist", "study: unknown study 'frist'; did you mean 'first'?"),
        ("data_dir", "", "data_dir: expected some text, found ''"),
        ("iterations", 0, "iterations: expected at least 1, found 0"),
        ("iterations", "500", "iterations: expected an integer, found '500' (write 500)"),
        ("base.model.widht", 3, "base.model: unknown key 'widht'; did you mean 'width'?"),
        (
            "base.train.learning_rate",
            "2e-3",
            "base.train.learning_rate: expected a number, found '2e-3' "
            "(YAML reads 2e-3 as text; write 2.0e-3 or 0.002)",
        ),
        ("base.train.betas", [0.9, "a"], "base.train.betas: expected a number, found 'a'"),
        ("base.probe.samples", 3, "base.probe: unknown key 'samples'; did you mean 'num_samples'?"),
        ("datasets.colour.model.zdim", True, "datasets.colour.model.zdim: expected an integer"),
        ("variants.r2.repeats", 2, "variants.r2: unknown key 'repeats'; known are datasets, ext"),
        ("variants.r2", None, "variants.r2: expected a mapping, found nothing"),
        ("variants.r2.extends", "x2", "variants.r2.extends: unknown variant 'x2'; did you mean"),
        ("variants.wide.extends", "wide-r2", "variants.wide-r2.extends: wide extends wide-r2 in"),
        (
            "variants.of-no-ablation.model.skip",
            "lats",
            "variants.of-no-ablation.model.skip: 'lats' is none of last, mirror; "
            "did you mean 'last'?",
        ),
        (
            "variants.wide.datasets.gray",
            {},
            "variants.wide.datasets: unknown dataset 'gray'; did you mean 'grey'?",
        ),
        (
            "variants.wide.datasets.colour.evaluate",
            {},
            "variants.wide.datasets.colour: unknown key 'evaluate'; known are model, train",
        ),
        (
            "ablations.of-no-study.titel",
            "x",
            "ablations.of-no-study: unknown key 'titel'; did you mean 'title'?",
        ),
        (
            "ablations.of-no-study.source",
            "table4",
            "ablations.of-no-study.source: 'table4' is none of table1, table2, table3, figure4; "
            "did you mean 'table",
        ),
        (
            "ablations.of-no-study.variants",
            "x1",
            "ablations.of-no-study.variants: expected a list or a mapping, found 'x1'",
        ),
        (
            "ablations.of-no-study.variants",
            ["x1", ["r2"]],
            'ablations.of-no-study.variants: expected text, found ["r2"]',
        ),
        (
            "ablations.of-no-study.variants.colour",
            ["x1", "r3"],
            "ablations.of-no-study.variants: unknown variant 'r3'; did you mean 'r2'?",
        ),
        (
            "ablations.of-no-study.variants.colour",
            ["x1", "x1"],
            "ablations.of-no-study.variants.colour: 'x1' stands in the list twice",
        ),
        (
            "ablations.of-no-study.variants.blue",
            ["x1"],
            "ablations.of-no-study.variants: unknown dataset 'blue'; known are colour, grey",
        ),
        (
            "ablations.history",
            {"title": "", "variants": ["x1"]},
            "ablations.history: a table or figure of every study has this name",
        ),
        (
            "studies.second.datasets.colour.seed",
            2,
            "studies.second.datasets.colour: unknown key 'seed'; did you mean 'seeds'?",
        ),
        (
            "studies.second.datasets.colour.probe.num_samples",
            2.5,
            "studies.second.datasets.colour.probe.num_samples: expected an integer, found 2.5",
        ),
        ("studies.second.datasets", [], "studies.second.datasets: expected at least 1 value, fou"),
        ("studies.second.seeds", 0, "studies.second.seeds: expected at least 1, found 0"),
        (
            "studies.second.ablations",
            ["sharng"],
            "studies.second.ablations: unknown ablation 'sharng'; did you mean 'sharing'?",
        ),
        # What cannot work: the last layer that has a part in it.
        (
            "base.train.ema_rate",
            1,
            "base.train.ema_rate: must be at least 0 and less than 1, not 1.0",
        ),
        (
            "datasets.grey.model.encoder",
            "8x1,8d3",
            "datasets.grey.model.encoder: 8d3: 3 does not divide 8 (",
        ),
        (
            "datasets.grey.model.decoder",
            "8y1",
            "datasets.grey.model.decoder: block string '8y1': entry '8y1' cannot",
        ),
        (
            "variants.r2.model.pooling",
            "db5",
            "variants.r2.model.pooling: the 10 taps of db5 do not fit a resolution of 8; use a",
        ),
        (
            "variants.wide.datasets.colour.model.fourier",
            "position",
            "variants.wide.datasets.colour.model.fourier: fourier_exponents: [5, 6] of position "
            "do not lie below the Nyquist limit: 2^n must be less than 4 "
            "(variant wide on colour in study second)",
        ),
        (
            "studies.first.model.width",
            3,
            "studies.first.model.width: bottleneck_multiple: 0.25 leaves no channel of width 3 "
            "(variant r2 on grey in study first)",
        ),
        (
            "studies.second.datasets.colour.train.gpus",
            5,
            "studies.second.datasets.colour.train.gpus: 5 cannot split a batch_size of 4 "
            "(variant r2 on colour in study second)",
        ),
        (
            "variants.wide",  # of `second`, which is not the chosen study
            {"model": {"gradient_checkpointing": True}, "train": {"cuda_graph": True}},
            "train.cuda_graph: gradient_checkpointing cannot be recorded: leave one of them out "
            "(variant wide on colour in study second)",
        ),
        (
            "studies.second.evaluate.batch_size",
            0,
            "studies.second.evaluate.batch_size: must be at least 1 and at most 1,000,000, not 0",
        ),
        (
            "studies.second.datasets.colour.probe.temperatures",
            [1, 0.5],
            "studies.second.datasets.colour.probe.temperatures: must be one number or more, "
            "ascending, not 1.0, 0.5 (colour in study second)",
        ),
        (
            "studies.second.train",
            {},
            "train.iterations is missing for variant r2 on grey in study second: none of base, "
            "datasets.grey, studies.second, studies.second.datasets.grey, variants.r2 sets it",
        ),
        (
            "ablations.sharing.variants",
            ["x1", "of-colour"],
            "ablations.sharing.variants: variant 'of-colour' is defined for colour only, "
            "not for grey of study first",
        ),
        (
            "ablations.of-no-study.variants.grey",
            ["of-colour"],
            "ablations.of-no-study.variants.grey: variant 'of-colour' is defined for colour only, "
            "not for grey",
        ),
        (
            "studies.first.ablations",
            ["of-no-study"],
            "studies.first.ablations: ablation 'of-no-study' names none of the study's datasets "
            "(grey); it names colour",
        ),
        # What no study uses.
        (
            "variants.of-colour.datasets.colour.model.fourier_exponents",
            [8],
            "variants.of-colour.datasets.colour.model.fourier_exponents: [8] of value do not lie "
            "below the Nyquist limit: 2^n must be less than 128 (variant of-colour on colour)",
        ),
        (
            "variants.of-no-ablation.model.zdim",
            0,
            "variants.of-no-ablation.model.zdim: must be at least 1 and at most 65,536, not 0",
        ),
        (
            "datasets.third",
            {"model": {**BINARY, **TOWERS, "likelihood_size": 9}},
            "datasets.third.model.likelihood_size: 9 is no centred part of image_size 8 (third)",
        ),
    ],
)
def test_a_mistake_is_named_with_its_layer(path: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Study.of_config(changed(path, value))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_variant_that_no_ablation_names_need_not_work_everywhere() -> None:
    """Fourier features of the value are refused on the binary dataset, which comes first."""
    Study.of_config(changed("variants.of-no-ablation.model.fourier", "value"))


def test_what_a_study_may_still_add_is_not_missed() -> None:
    Study.of_config(changed("datasets.third", {"model": {"width": 4}}))


def test_a_mistake_in_a_file_is_named_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for text, message in [
        (yaml.safe_dump(changed("iterations", "x")), "iterations: expected an integer"),
        (
            yaml.safe_dump(changed("variants.r2.model.repeats", 0)),
            "variants.r2.model.repeats: must",
        ),
        ("study: [", "line 2, column 1: a bracket or brace"),
        ("", "expected a mapping, found nothing"),
    ]:
        path.write_text(text)
        with pytest.raises(ConfigError, match=f"^{re.escape(str(path))}: {message}") as caught:
            Study.load(path, "first")
        assert "\n" not in str(caught.value)


def test_an_ablation_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    ablation = Study.of_config({**SMALL, "study": "second"}).ablations["width"]
    assert ablation.variants == {"grey": ("wide-r2",), "colour": ("x1", "wide")}
    assert list(ablation.variants) == ["grey", "colour"]  # the study's order, not the ablation's
    path = tmp_path / "width.yaml"
    path.write_text(ablation.dump())
    assert Ablation.load(path) == ablation


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variants": {}}, "variants: expected at least 1 value"),
        ({"variants": {"grey": []}}, "variants.grey: expected at least 1 value"),
        ({"varants": {}}, "unknown key 'varants'; did you mean 'variants'?"),
    ],
)
def test_a_mistake_in_an_ablation_file_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = tmp_path / "sharing.yaml"
    text = Study.of_config(SMALL).ablations["sharing"].dump()
    path.write_text(yaml.safe_dump(yaml.safe_load(text) | change))
    with pytest.raises(ConfigError, match=r"sharing\.yaml: ") as caught:
        Ablation.load(path)
    assert message in str(caught.value)


def test_the_configs_of_seeds_and_studies_that_agree_are_built_once() -> None:
    study = Study.of_config({**SMALL, "study": "second"})
    first, second = (study.run_config(Run("colour", "x1", seed)) for seed in (0, 1))
    assert first.model is second.model
    assert first.train is second.train
    other = Study.of_config(SMALL).run_config(Run("grey", "x1", 0))
    assert other.model is study.run_config(Run("grey", "x1", 0)).model


def test_planning_loads_no_heavy_package() -> None:
    """Each command of Snakemake plans, so that starting it must not take seconds."""
    code = (
        "import sys; from pathlib import Path; from study.planning.study import Study; "
        "import model.data.published; Study.load(Path('config.yaml'), 'paper'); "
        "print({'torch', 'numpy', 'pandas', 'pyarrow', 'pywt'} & set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"
