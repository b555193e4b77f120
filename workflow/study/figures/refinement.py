"""Bounds of trained models at other step sizes, and against the cost of an evaluation."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from study.figures.style import MAX_WIDTH, finish, in_style
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.refinement import rows
from study.unit import UNIT_LABEL

_BESIDE = 1.04  # the factor between the variants' marks at one number of repeats


@in_style
def draw(ablation: Ablation, results: StudyResults) -> Figure:
    """Per dataset: change of the NLL by repeats, NLL by operations; a line per variant."""
    table = rows(ablation, results)
    table = table[table["repeats"].notna()]
    variants = list(dict.fromkeys(table["variant"]))
    colours = dict(zip(variants, sns.color_palette("colorblind", len(variants)), strict=True))
    datasets = list(dict.fromkeys(table["dataset"]))
    figure = Figure(figsize=(MAX_WIDTH, 2.5 * len(datasets)), layout="constrained")
    for pair, dataset in zip(
        figure.subplots(len(datasets), 2, squeeze=False), datasets, strict=True
    ):
        of_dataset = table[table["dataset"] == dataset]
        unit = UNIT_LABEL[of_dataset["unit"].iloc[0]]
        for variant, lines in of_dataset.groupby("variant", sort=False):
            line = lines.sort_values("repeats")
            beside = _BESIDE ** (variants.index(variant) - (len(variants) - 1) / 2)
            _draw(pair[0], line.assign(beside=beside * line["repeats"]), "beside",
                  "nll_difference", colours[variant])  # fmt: skip
            _draw(pair[1], line.assign(mflop=line["flops_per_image"] / 1e6), "mflop", "nll",
                  colours[variant])  # fmt: skip
        _limit_differences(pair[0], of_dataset["nll_difference_mean"])
        _limit_nll(pair[1], of_dataset)
        pair[0].axhline(0, color="0.6", linewidth=0.8, zorder=0)
        ticks = sorted(set(of_dataset["repeats"]))
        pair[0].set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
        pair[0].set_xlabel("applications of each plain block")
        pair[0].set_ylabel(f"test NLL − as trained\n({unit})")
        pair[1].xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        pair[1].xaxis.set_major_formatter("{x:g}")
        pair[1].set_xlabel("cost of a pass (MFLOP per image)")
        pair[1].set_ylabel(f"test NLL\n({unit})")
        for ax in pair:
            ax.set_title(dataset)
    handles, _ = figure.axes[0].get_legend_handles_labels()
    note = (
        "Lower is better. The same weights at every step size; a filled mark is the step that was "
        "trained. Mean and 95 % interval over the seeds (Student's t), cut at the panel's edge. "
        "Left: variants side by side; linear around 0, logarithmic beyond the marks next to it."
    )
    title = f"{ablation.title}, at other step sizes: study {ablation.study}"
    return finish(figure, title, note, handles)


def _draw(ax: Axes, line: pd.DataFrame, x: str, y: str, colour: tuple[float, ...]) -> None:
    ax.errorbar(
        line[x],
        line[f"{y}_mean"],
        yerr=line[f"{y}_interval_95"].fillna(0.0),
        marker="o",
        markersize=5,
        markerfacecolor="white",
        capsize=2.5,
        linewidth=1.4,
        elinewidth=0.7,
        color=colour,
        label=line["variant"].iloc[0],
    )
    trained = line[line["is_trained"]]
    ax.plot(trained[x], trained[f"{y}_mean"], "o", markersize=5, color=colour, zorder=5)
    ax.set_xscale("log")
    ax.minorticks_off()
    sns.despine(ax=ax)


def _limit_differences(ax: Axes, means: "pd.Series[float]") -> None:
    """Show a tenth of a nat beside hundreds: steps that a model cannot take cost so much."""
    sizes = means[means != 0].abs()
    if sizes.empty:
        return
    linear = 10.0 ** np.floor(np.log10(sizes.min()))
    ax.set_yscale("symlog", linthresh=linear, linscale=0.5)
    ax.set_ylim(2 * min(-linear, means.min()), 2 * max(linear, means.max()))
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:+g}".replace("-", "−") if value else "0")


def _limit_nll(ax: Axes, of_dataset: pd.DataFrame) -> None:
    """Show what lies within five times the differences between the models as they were trained."""
    means = of_dataset["nll_mean"]
    best = means.min()
    span = 5 * (of_dataset.loc[of_dataset["is_trained"], "nll_mean"].max() - best)
    top = min(means.max(), best + span) if span > 0 else means.max()
    margin = 0.08 * (top - best) or 1.0
    ax.set_ylim(best - margin, top + margin)
