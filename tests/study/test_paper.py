"""The study `paper` against what the paper published: sizes, depths, and no value mistyped."""

from pathlib import Path

import pytest

from model.config import ModelConfig
from study.comparing.published import published
from study.planning.models import count_parameters, models_table, published_number
from study.planning.study import Run, Study

ROOT = Path(__file__).parents[2]
STUDY = Study.load(ROOT / "config.yaml", "paper")
ROWS = published()
SIZED = ROWS[(ROWS["variant"] != "") & (ROWS["params"] != "")]
MODELS = sorted(set(zip(SIZED.dataset, SIZED.variant, strict=True)))


def model_of(dataset: str, variant: str) -> ModelConfig:
    return STUDY.run_config(Run(dataset, variant, 0)).model


@pytest.mark.parametrize(("dataset", "variant"), MODELS)
def test_parameters_are_the_published_ones_within_one_percent(dataset: str, variant: str) -> None:
    row = SIZED[(SIZED.dataset == dataset) & (SIZED.variant == variant)].iloc[0]
    wanted = published_number(row.params)
    assert count_parameters(model_of(dataset, variant)) == pytest.approx(wanted, rel=0.01)
    if row.stochastic_depth:
        assert model_of(dataset, variant).stochastic_depth == int(row.stochastic_depth)


def test_every_published_variant_is_trained() -> None:
    planned = {(run.dataset, run.variant) for run in STUDY.runs}
    ours = ROWS[ROWS["variant"] != ""]
    assert set(zip(ours.dataset, ours.variant, strict=True)) <= planned


def test_seeds_are_three_on_mnist_and_one_elsewhere() -> None:
    seeds = {run.dataset: STUDY.seeds(run.dataset) for run in STUDY.runs}
    assert seeds.pop("mnist") == range(3)
    assert set(seeds.values()) == {range(1)}


def test_docs_hold_the_generated_table_of_models() -> None:
    assert models_table(STUDY) in (ROOT / "docs" / "paper.md").read_text()
