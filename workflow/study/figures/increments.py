"""Drift and noise of one application of a block over the number of its repeats (Theorem 4)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from study.comparing.series import series
from study.figures.style import (
    MAX_WIDTH,
    finish,
    in_style,
    left_out,
    log_axis,
    shared_or_each,
    word,
)
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.identity import NAMES

COLUMNS = 4  # panels in a row, which is of one dataset
# As 1/r and as 1/sqrt(r), if r repeats are r steps of one stochastic differential equation.
EXPONENTS = {"drift": -1.0, "noise": -0.5}
_COLOURS = dict(zip(EXPONENTS, sns.color_palette("colorblind"), strict=False))


@in_style
def draw(ablations: Sequence[Ablation], results: StudyResults) -> Figure:
    """A panel per series of repeats and resolution; a word where there is no series."""
    title = f"Drift and noise over the repeats: study {ablations[0].study}"
    datasets = {dataset for ablation in ablations for dataset in ablation.variants}
    found = [
        (of_series["dataset"].iloc[0], _steps(of_series, results.tables["increments"]))
        for of_series in series(results.tables["runs"], "repeats")
    ]
    found = [(dataset, steps) for dataset, steps in found if steps["repeats"].nunique() > 1]
    without = sorted(datasets - {dataset for dataset, _ in found})
    if not found:
        return word(title, left_out(without, "repeats"))
    rows = [
        (dataset, panels[start : start + COLUMNS])
        for dataset, steps in found
        for panels in [[*steps.groupby("resolution")]]
        for start in range(0, len(panels), COLUMNS)
    ]
    figure = Figure(figsize=(MAX_WIDTH, 1.9 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for in_row, (dataset, panels) in zip(axes, rows, strict=True):
        for ax, (resolution, of_panel) in zip(in_row, panels, strict=False):
            _draw_panel(ax, of_panel.sort_values("repeats"))
            ax.set_title(f"{dataset}, {resolution}×{resolution}")
        for ax in in_row[len(panels) :]:
            ax.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("norm per application")
    return finish(figure, title, _note(found, without))


def slope(repeats: "pd.Series[int]", norms: "pd.Series[float]") -> float:
    """The exponent of a power of the repeats, by least squares on logarithmic axes."""
    return float(np.polyfit(np.log(repeats), np.log(norms), 1)[0])


def _steps(of_series: pd.DataFrame, increments: pd.DataFrame) -> pd.DataFrame:
    """Mean drift and noise of an application of the blocks that the series repeats.

    The blocks where the resolution changes are applied once in every run: which ones are repeated
    is seen in the run with the most repeats, whose blocks are those of the others.
    """
    runs = of_series[[*NAMES, "repeats"]].merge(increments, on=NAMES)
    runs = runs[runs["drift"].notna()]  # without a residual state there is none
    weights = (runs["repeat"] == 0).groupby([runs["dataset"], runs["variant"]]).cumsum()
    runs = runs.assign(weights=weights)
    most = runs[runs["repeats"] == runs["repeats"].max()]
    repeated = most.loc[most["num_repeats"] > 1, "weights"].unique()
    runs = runs[runs["weights"].isin(repeated)]
    columns = [*EXPONENTS, "num_images", "seed"]
    return runs.groupby(["resolution", "repeats"], as_index=False)[columns].mean()


def _draw_panel(ax: Axes, steps: pd.DataFrame) -> None:
    """Both norms, reference lines through the first point, and the slopes of the fits."""
    repeats = steps["repeats"].to_numpy()
    lowest = steps[[*EXPONENTS]].min().min()
    for index, (name, exponent) in enumerate(EXPONENTS.items()):
        norms, colour = steps[name], _COLOURS[name]
        reference = norms.iloc[0] * (repeats / repeats[0]) ** exponent
        lowest = min(lowest, reference.min())
        ax.plot(repeats, reference, "--", color=colour, linewidth=0.9, gid=f"reference-{name}")
        ax.plot(repeats, norms, "-o", color=colour, markersize=3.5, linewidth=1.3, gid=name)
        fitted = f"{slope(steps['repeats'], norms):.2f}".replace("-", "−")
        ax.text(0.05, 0.17 - 0.12 * index, f"{name} {fitted}", color=colour, transform=ax.transAxes)
    ax.set_xscale("log")
    ax.set_xticks(repeats, [f"{r:g}" for r in repeats])
    ax.xaxis.set_minor_locator(NullLocator())
    highest = float(steps[[*EXPONENTS]].max().max())
    log_axis(ax, float(lowest), highest)
    top = 1.2 * highest
    ax.set_ylim(lowest * (lowest / top) ** 0.4, top)  # the slopes have 0.4 of 1.4 for themselves
    ax.set_xlabel("repeats r")
    sns.despine(ax=ax)


def _note(found: Sequence[tuple[str, pd.DataFrame]], without: Sequence[str]) -> str:
    """What is drawn, and what the slopes are to be compared with."""
    first = [steps.iloc[0] for _, steps in found]
    seeds = shared_or_each(int(row["seed"]) for row in first)
    images = shared_or_each(int(row["num_images"]) for row in first)
    return (
        f"Seed {seeds}, EMA weights, posterior pass over {images} test images. Drift: norm of what "
        "an application adds to the state, without the latent's noise; noise: norm of that; means "
        "over images and over the repeated blocks of a resolution. Dashed, through the first "
        "point: drift as 1/r, noise as 1/√r, if r repeats are r steps of one equation. Numbers: "
        "slopes of the fits on these axes, to be compared with −1 and −0.5. "
        f"{left_out(without, 'repeats')}"
    ).strip()
