"""The figure over training: runs of several lengths, and what is drawn of them."""

import dataclasses
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from written_results import DATASETS, TRAIN, write_ablation, write_probe, write_run

from model.config import ModelConfig
from model.definitions import DEFINITIONS
from model.run_config import RunConfig
from study.figures.over_training import draw
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.theory import INEQUALITY

NAMES = ["runs", "theory", "learnt"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three lengths of one run; not to be changed."""
    results = tmp_path_factory.mktemp("results")
    model = ModelConfig(width=32, zdim=8, **DATASETS["digits"])
    for variant, iterations in {"x1": 2000, "short": 100, "middle": 500}.items():
        train = dataclasses.replace(TRAIN, iterations=iterations)
        config = RunConfig(
            dataset="digits",
            variant=variant,
            seed=0,
            definitions=DEFINITIONS,
            model=model,
            train=train,
        )
        write_probe(write_run(results, variant=variant, config=config))
    write_ablation(results, {"digits": ["x1", "short", "middle"]})
    return results


def results_of(written: Path, *variants: str) -> tuple[list[Ablation], StudyResults]:
    ablation = Ablation.load(written / "ablations/sharing.yaml")
    run_dirs = [written / "runs/digits" / variant / "seed0" for variant in variants]
    return [ablation], StudyResults.of_runs(written, "fake", NAMES, run_dirs)


def lines(figure: Figure, panel: int) -> dict[str, tuple[list[float], list[float]]]:
    return {
        str(line.get_gid()): (list(line.get_xdata()), list(line.get_ydata()))
        for line in figure.axes[panel].lines
        if line.get_gid()
    }


def test_lengths_are_in_order_and_sides_those_of_the_table(written: Path) -> None:
    ablations, results = results_of(written, "x1", "short", "middle")
    theory = results.tables["theory"]
    whole = (theory["statement"] == INEQUALITY) & theory["resolution"].isna()
    upper = theory["variant"].map({"x1": 0.5, "middle": 0.4, "short": 0.3})
    theory.loc[whole, "left_lower"] = 1e-6
    theory.loc[whole, "left_upper"] = upper[whole]
    learnt = results.tables["learnt"]
    of_length = learnt["variant"].map({"x1": 0.9, "middle": 0.7, "short": 0.1})
    learnt["coherence"] = of_length * (learnt["posterior_up_to"] == 8)
    figure = draw(ablations, results)
    steps = [100, 500, 2000]
    assert lines(figure, 0)["left_upper"] == (steps, [0.3, 0.4, 0.5])
    assert lines(figure, 0)["left_lower"] == (steps, [1e-6] * 3)
    # Of all latents, not of the coarse ones.
    assert lines(figure, 1)["coherence-4"] == (steps, [0.1, 0.7, 0.9])
    assert set(lines(figure, 1)) == {f"coherence-{r}" for r in (1, 2, 4, 8)}
    assert "Left out" not in figure.get_supxlabel()


def test_one_length_is_a_word(written: Path) -> None:
    figure = draw(*results_of(written, "x1"))
    assert figure.axes == []
    assert "Left out: digits" in figure.get_supxlabel()
