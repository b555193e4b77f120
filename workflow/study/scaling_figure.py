"""Validation NLL against a number that grows along a series of variants."""

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.figures import MAX_WIDTH, STYLE
from study.runs import UNIT_LABEL

Colour = tuple[float, float, float]


def draw_scaling(table: pd.DataFrame, colours: Mapping[str, Colour], x: str, label: str) -> Figure:
    """A panel per dataset, a line per series: mean and standard error over seeds against column x.

    `colours` are by the column series.
    """
    datasets = list(dict.fromkeys(table["dataset"]))
    with mpl.rc_context(STYLE):
        width = min(3.5 * len(datasets), MAX_WIDTH)
        figure = Figure(figsize=(width, 3.0), layout="constrained")
        axes = figure.subplots(1, len(datasets), squeeze=False)[0]
        for ax, dataset in zip(axes, datasets, strict=True):
            _draw_panel(ax, table[table["dataset"] == dataset], colours, x)
            ax.set_xlabel(label)
            ax.set_title(dataset)
        figure.legend(
            *axes[0].get_legend_handles_labels(),
            loc="outside lower center",
            frameon=False,
            title="Mean ± standard error over the seeds; EMA weights.",
            alignment="left",
        )
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def _draw_panel(ax: Axes, rows: pd.DataFrame, colours: Mapping[str, Colour], x: str) -> None:
    for series, colour in colours.items():
        line = rows[rows["series"] == series].sort_values(x)
        ax.errorbar(
            line[x],
            line["valid_nll_mean"],
            yerr=line["valid_nll_standard_error"].fillna(0.0),
            marker="o",
            markersize=4,
            capsize=2.5,
            linewidth=1.4,
            color=colour,
            label=f"{series}: {', '.join(line['variant'])}",
        )
    ax.set_xscale("log")
    ticks = sorted(set(rows[x]))
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.margins(x=0.08, y=0.1)
    ax.set_ylabel(f"validation NLL\n({UNIT_LABEL[rows['unit'].iloc[0]]})")
    sns.despine(ax=ax)
