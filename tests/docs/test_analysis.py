"""What docs/results.md does with the tables of a study, as it stands there."""

import runpy
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from documentation import ROOT, blocks
from matplotlib import pyplot as plt
from written_results import (
    comparison_results,
    write_ablation,
    write_probe,
    write_run,
    write_tables,
)

from study.__main__ import main
from study.outputs import write_ablation_table
from study.planning.ablation import Ablation
from study.tables.comparison import rows

PAGE = "docs/results.md"
NLLS = {"x1": [80.0, 81.0, 82.0, 83.0], "r5": [79.0, 80.2, 81.1], "x2": [80.5, 79.5, 83.0, 84.0]}
STATISTICS = ["nll_mean", "nll_interval_95", "num_seeds"]
DIFFERENCES = ["nll_difference_mean", "nll_difference_interval_95", "num_pairs"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the study `demo`; one run has diverged, and one dataset has the other unit."""
    project = tmp_path_factory.mktemp("project")
    study = project / "results" / "demo"
    probed: list[str] = []
    for variant, nlls in NLLS.items():
        differences = {"x1": {}, "r5": {"repeats": 5}, "x2": {"blocks": 2}}[variant]
        for seed, nll in enumerate(nlls):
            run = write_run(study, variant=variant, seed=seed, nll=nll, **differences)
            if seed == 0:
                write_probe(run)
                probed.append(str(run))
        write_run(study, "patches", variant, nll=5.0, **differences)
    write_run(study, variant="r5", seed=3, nll=900.0, status="diverged", repeats=5)
    tables = write_tables(study, "demo")
    collect = ["collect", "--runs", "probed", "--study", "demo", "--tables", str(tables)]
    assert main([*collect, *probed]) == 0
    ablation = Ablation.load(write_ablation(study, {"digits": list(NLLS)}, name="weight-sharing"))
    frame = rows(ablation, comparison_results(study, ablation))
    write_ablation_table("comparison", ablation, frame, tables)  # the figure would take long
    return project


@pytest.fixture
def comparison(project: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """The ablation's own table, by variant; the project is the working directory."""
    monkeypatch.chdir(project)
    table = pd.read_parquet("results/demo/tables/weight-sharing.parquet").set_index("variant")
    return table.astype({name: float for name in [*STATISTICS, *DIFFERENCES]})


@pytest.fixture(autouse=True)
def no_figure_stays() -> Iterator[None]:
    yield
    plt.close("all")


def test_the_blocks_of_pandas_give_the_numbers_of_the_ablation(comparison: pd.DataFrame) -> None:
    names: dict[str, Any] = {}
    for block in blocks(PAGE, "python"):
        exec(block, names)
    means = names["by_variant"].loc[list(NLLS)]
    assert means.to_numpy() == pytest.approx(comparison[STATISTICS].to_numpy())
    paired = names["paired"].loc[["r5", "x2"]]
    of_table = comparison.loc[["r5", "x2"]]
    found = paired[["mean", "interval_95", "count"]].to_numpy(dtype=float)
    assert found == pytest.approx(of_table[DIFFERENCES].to_numpy())
    assert paired["is_decided"].tolist() == of_table["nll_difference_is_decided"].tolist()
    assert list(names["curves"]) == ["r5", "x1", "x2"]
    assert names["curves"].index[-1] == 2000
    assert plt.imread("curves.png").std() > 0.01
    assert len(names["best"]) == 3


def test_the_statements_of_duckdb_give_the_same(comparison: pd.DataFrame) -> None:
    means, differences, table, curves, temperatures = (
        duckdb.sql(statement).df() for statement in blocks(PAGE, "sql")
    )
    found = means.set_index("variant").loc[list(NLLS)].to_numpy(dtype=float)
    assert found == pytest.approx(comparison[STATISTICS].to_numpy(), rel=1e-4)
    found = differences.set_index("variant").loc[["r5", "x2"]].to_numpy(dtype=float)
    columns = ["nll_difference_mean", "nll_difference_standard_error", "num_pairs"]
    assert found == pytest.approx(comparison.loc[["r5", "x2"], columns].to_numpy(dtype=float))
    assert list(table["variant"]) == list(NLLS)
    assert list(curves[curves["variant"] == "x1"]["step"])[-1] == 2000
    assert len(temperatures) == 3


def test_the_example_draws_a_panel_for_each_dataset_in_its_unit(
    comparison: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["nll_against_depth.py", "results/demo", "depth.png"])
    names = runpy.run_path(str(ROOT / "docs/examples/nll_against_depth.py"), run_name="__main__")
    panels = names["grid"].axes.flat
    assert [axes.get_title() for axes in panels] == ["digits, nats", "patches, bits/dim"]
    drawn = {nll for line in panels[0].lines for nll in map(float, line.get_ydata())}
    assert all(np.isclose(mean, list(drawn)).any() for mean in comparison["nll_mean"])
    assert plt.imread("depth.png").std() > 0.01


@pytest.mark.parametrize("page", ["README.md", PAGE])
def test_the_commands_that_show_tables_and_runs_work(
    page: str, comparison: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = [
        shlex.split(line, comments=True)[1:]
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith(("study show", "study compare"))
    ]
    assert len(commands) >= 2
    for command in commands:
        assert main(command) == 0, capsys.readouterr().err
    assert "| x1" in capsys.readouterr().out
