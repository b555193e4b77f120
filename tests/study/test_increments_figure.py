"""The figure of increments: which runs form a series, and what is drawn of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from written_results import write_ablation, write_probe, write_run

from model.measurement.theory.increments import TABLE as INCREMENTS
from study.__main__ import main
from study.collecting.run_result import RunResult
from study.comparing.series import series
from study.figures.increments import draw
from study.planning.ablation import Ablation
from study.results import StudyResults

# Per dataset the variants, their differences from the first one.
VARIANTS: dict[str, dict[str, Any]] = {
    "x1": {},
    "r4": {"repeats": 4},
    "wide": {"width": 64},
    "norm": {"state_norm": "l2"},
    "norm-r4": {"state_norm": "l2", "repeats": 4},
}


def write_increments(directory: Path, repeats: int, *, adds: bool) -> None:
    """Steps at two resolutions; where the resolution changes there is one that never repeats."""
    about = RunResult.read(directory).table("increments").schema.metadata
    kept = {
        k.decode(): v.decode() for k, v in about.items() if k not in (b"table", b"schema_version")
    }
    blocks = [(1, repeats), (4, 1), (4, repeats)]
    rows = [
        {
            **dict.fromkeys(INCREMENTS.schema.names, 1),
            "resolution": resolution,
            "repeat": repeat,
            "num_repeats": times,
            "drift": 1000.0 if index == 1 else (8.0 + repeat) / times if adds else None,
            "noise": 1000.0 if index == 1 else 3.0 / times**0.5 if adds else None,
            "num_images": 200,
        }
        for index, (resolution, times) in enumerate(blocks)
        for repeat in range(times)
    ]
    INCREMENTS.write(INCREMENTS.of_rows(rows), directory / "increments.parquet", kept)


def written(results: Path, **variants: dict[str, Any]) -> Path:
    for name, differences in variants.items():
        directory = write_run(results, "digits", name, **differences)
        write_probe(directory)
        repeats = differences.get("repeats", 1)
        write_increments(directory, repeats, adds="state_norm" not in differences)
    return write_ablation(results, {"digits": list(variants)})


def drawn(results: Path) -> Figure:
    ablation = Ablation.load(results / "ablations/sharing.yaml")
    run_dirs = ablation.probed_dirs(results)
    read = StudyResults.of_runs(results, "fake", ["runs", "increments"], run_dirs)
    return draw([ablation], read)


def test_a_series_differs_in_one_setting_alone(tmp_path: Path) -> None:
    written(tmp_path, **VARIANTS)
    tables = tmp_path / "tables"
    run_dirs = sorted(map(str, tmp_path.glob("runs/*/*/seed*")))
    assert main(["collect", "--study", "fake", "--tables", str(tables), *run_dirs]) == 0
    runs = pd.read_parquet(tables / "runs.parquet")
    found = [list(of_series["variant"]) for of_series in series(runs, "repeats")]
    assert sorted(found) == [["norm", "norm-r4"], ["x1", "r4"]]
    assert [list(of["variant"]) for of in series(runs, "width")] == [["x1", "wide"]]
    diverged = runs.assign(status=runs["status"].where(runs["variant"] != "x1", "diverged"))
    assert [list(of["variant"]) for of in series(diverged, "repeats")] == [["norm", "norm-r4"]]


def test_norms_per_application_and_their_references(tmp_path: Path) -> None:
    written(tmp_path, **VARIANTS)
    figure = drawn(tmp_path)
    assert [ax.get_title() for ax in figure.axes] == ["digits, 1×1", "digits, 4×4"]
    for ax in figure.axes:
        lines = {str(line.get_gid()): np.asarray(line.get_ydata()) for line in ax.lines}
        # Of the repeated blocks only: 1000 is where the resolution changes.
        np.testing.assert_allclose(lines["drift"], [8, 9.5 / 4])
        np.testing.assert_allclose(lines["noise"], [3, 1.5])
        np.testing.assert_allclose(lines["reference-drift"], [8, 2])
        np.testing.assert_allclose(lines["reference-noise"], [3, 1.5])
        slope = np.log(9.5 / 4 / 8) / np.log(4)
        words = [text.get_text() for text in ax.texts]
        assert words == [f"drift −{-slope:.2f}", "noise −0.50"]
        lowest = min(values.min() for values in lines.values())
        _, height = ax.transAxes.inverted().transform(ax.transData.transform((1, lowest)))
        assert height > 0.27  # above the words
    assert "Left out" not in figure.get_supxlabel()


@pytest.mark.parametrize("others", [{}, {"wide": {"width": 64}}], ids=["alone", "of other width"])
def test_without_two_repeats_it_is_a_word(tmp_path: Path, others: dict[str, Any]) -> None:
    written(tmp_path, x1={}, **others)
    figure = drawn(tmp_path)
    assert figure.axes == []
    assert "Left out: digits" in figure.get_supxlabel()


def test_the_command_draws_it_from_all_probed_runs(tmp_path: Path) -> None:
    ablation = written(tmp_path, **VARIANTS)
    command = ["figures", "--ablations", str(ablation), "--study-dir", str(tmp_path)]
    assert main([*command, "--runs", "probed"]) == 0
    assert (tmp_path / "figures/increments.svg").exists()
    assert not (tmp_path / "figures/samples.svg").exists()
