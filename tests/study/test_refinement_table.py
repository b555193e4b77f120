"""Bounds at other step sizes, over seeds, images and noises: the numbers, and the files."""

from math import log
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from written_results import (
    comparison_results,
    write_ablation,
    write_output,
    write_refinement,
    write_run,
    write_tables,
)

from model.measurement.refinement import TABLE as REFINEMENT
from model.table import metadata_of
from study.figures.refinement import draw
from study.planning.ablation import Ablation

SEEDS = [  # the NLL of two images, by repeats
    {1: [14.0, 16.0], 2: [10.0, 12.0], 4: [10.5, 13.5]},
    {1: [15.0, 17.0], 2: [11.0, 13.0], 4: [11.0, 13.0]},
]


def write_study(results: Path, dataset: str = "digits", scale: float = 1.0) -> None:
    for seed, bounds in enumerate(SEEDS):
        directory = write_run(results, dataset, "r2", seed, repeats=2)
        scaled = {repeats: [scale * x for x in nll] for repeats, nll in bounds.items()}
        write_refinement(directory, scaled, trained=2)
    write_tables(results)
    write_ablation(results, {dataset: ["r2"]})


def test_numbers_and_files(tmp_path: Path) -> None:
    write_study(tmp_path)
    assert write_output(tmp_path, output="refinement") == 0
    table = pd.read_parquet(tmp_path / "tables/sharing-refinement.parquet")
    assert table["repeats"].tolist() == [2, 1, 4]
    assert table["is_trained"].tolist() == [True, False, False]
    assert table["step"].tolist() == [1.0, 2.0, 0.5]
    assert table["nll_mean"].tolist() == [11.5, 15.5, 12.0]
    assert table["nll_difference_mean"].tolist() == [0.0, 4.0, 0.5]
    finer = table.set_index("repeats").loc[4]
    of_seeds, of_images = [1.0, 0.0], [0.25, 0.75]
    assert finer["nll_difference_standard_error"] == pytest.approx(
        np.std(of_seeds, ddof=1) / 2**0.5
    )
    error = np.std(of_images, ddof=1) / 2**0.5
    assert finer["nll_difference_evaluation_error"] == pytest.approx(error)
    assert finer["num_noises"] == finer["num_images"] == finer["num_seeds"] == 2
    lines = (tmp_path / "tables/sharing-refinement.md").read_text().splitlines()
    assert [cell.strip() for cell in lines[-1].strip("|").split("|")] == [
        "digits", "r2", "4", "0.5", "4", "2", "12.00 ± 0.00", "+0.5 ± 6.4", "0.25", "3.00 ± 0.00",
        "0.60 ± 0.00", "nats",
    ]  # fmt: skip
    suffixes = {path.suffix for path in (tmp_path / "figures").glob("sharing-refinement.*")}
    assert suffixes == {".pdf", ".svg", ".png"}


def test_a_step_that_cannot_be_taken_hides_no_gain(tmp_path: Path) -> None:
    """One variant gains 0.5 nats and the other loses 500 (MNIST's r5 and x1)."""
    for variant, trained, bounds in (
        ("r5", 5, {5: [95.0, 97.0], 10: [94.5, 96.5]}),
        ("x1", 1, {1: [97.0, 99.0], 10: [597.0, 599.0]}),
    ):
        directory = write_run(tmp_path, "digits", variant, 0, repeats=trained)
        write_refinement(directory, bounds, trained=trained)
    write_tables(tmp_path)
    write_ablation(tmp_path, {"digits": ["r5", "x1"]})
    ablation = Ablation.load(tmp_path / "ablations" / "sharing.yaml")
    figure = draw(ablation, comparison_results(tmp_path, ablation))
    differences, nlls = figure.axes[:2]
    figure.draw_without_rendering()
    gain, none, loss = (
        differences.transAxes.inverted().transform(differences.transData.transform((1, value)))[1]
        for value in (-0.5, 0.0, 500.0)
    )
    assert 0 < gain < none - 0.05
    assert none < loss < 1
    low, high = nlls.get_ylim()
    assert low < 95.5
    assert 98 < high < 120


def test_colour_images_are_in_bits_per_dimension(tmp_path: Path) -> None:
    scale = 3 * 16 * 16 * log(2)
    write_study(tmp_path, "patches", scale)
    assert write_output(tmp_path, output="refinement") == 0
    table = pd.read_parquet(tmp_path / "tables/sharing-refinement.parquet")
    assert set(table["unit"]) == {"bits/dim"}
    np.testing.assert_allclose(table["nll_mean"], [11.5, 15.5, 12.0])
    np.testing.assert_allclose(table["nll_difference_mean"], [0.0, 4.0, 0.5], atol=1e-12)


def test_a_step_of_as_many_layers_as_the_trained_one_is_another(tmp_path: Path) -> None:
    """Blocks trained with 2 and 4 repeats: 3 of each are as many."""
    directory = write_run(tmp_path, "digits", "r24")
    write_refinement(directory, {2: [10.0, 12.0], 3: [11.0, 13.0]}, trained=2)
    path = directory / "refinement.parquet"
    bounds = pq.read_table(path)
    columns = bounds.to_pandas().assign(stochastic_depth=11)
    columns["repeats"] = columns["repeats"].where(~columns["is_trained"])
    REFINEMENT.write(REFINEMENT.of_frame(columns), path, metadata_of(bounds))
    write_tables(tmp_path)
    write_ablation(tmp_path, {"digits": ["r24"]})
    assert write_output(tmp_path, output="refinement") == 0
    table = pd.read_parquet(tmp_path / "tables/sharing-refinement.parquet")
    assert table["is_trained"].tolist() == [True, False]
    assert table["nll_mean"].tolist() == [11.0, 12.0]
    assert table["nll_difference_mean"].tolist() == [0.0, 1.0]
    assert table["repeats"].isna().tolist() == [True, False]
    assert table["step"].isna().all()


def test_a_run_that_was_not_refined_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(tmp_path)
    (tmp_path / "runs/digits/r2/seed1/refinement.parquet").unlink()
    assert write_output(tmp_path, output="refinement") == 1
    error = capsys.readouterr().err
    assert "runs/digits/r2/seed1/refinement.parquet" in error
    assert error.count("\n") == 1
