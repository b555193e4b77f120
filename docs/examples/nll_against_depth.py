"""Test NLL against stochastic depth: nll_against_depth.py results/demo depth.png."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import seaborn as sns
from scipy import stats


def interval_95(values: "pd.Series[float]") -> tuple[float, float]:
    """The 95 % interval of a mean over seeds (Student's t); seaborn's own is a bootstrap."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.sem() if len(values) > 1 else np.nan
    return values.mean() - half, values.mean() + half


study_dir, figure = map(Path, sys.argv[1:])
runs = pd.read_parquet(study_dir / "tables" / "runs.parquet")
runs = runs[(runs["status"] == "finished") & np.isfinite(runs["nll_nats"])]
# Each dataset has a panel and its own unit: they do not compare.
in_bits = runs["unit"] == "bits/dim"
runs["nll"] = runs["nll_bits_per_dim"].where(in_bits, runs["nll_nats"])
runs["panel"] = runs["dataset"] + ", " + runs["unit"]

sns.set_theme(style="ticks")
grid = sns.catplot(
    runs.sort_values(["stochastic_depth", "num_parameters"]),
    x="stochastic_depth", y="nll", col="panel", hue="variant",
    kind="point", linestyle="none", errorbar=interval_95, capsize=0.1, dodge=0.3,
    sharex=False, sharey=False, height=3.5, aspect=1.2,
)  # fmt: skip
grid.set_axis_labels("stochastic depth (layers)", "test NLL, mean and 95 % interval")
grid.set_titles("{col_name}")
grid.savefig(figure, dpi=150)
