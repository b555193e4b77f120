"""Validation NLL against what grows along a series of variants: blocks, repeats, latents."""

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.figures.style import MAX_WIDTH, finish, in_style
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.scaling import MULTIPLES, Scaling, rows, scaling_of
from study.unit import UNIT_LABEL

COLOURS = dict(zip(MULTIPLES, sns.color_palette("colorblind"), strict=False))


@in_style
def draw(ablation: Ablation, results: StudyResults) -> Figure:
    """A panel per dataset, a line per series: mean and standard error over the seeds."""
    table, scaling = rows(ablation, results), scaling_of(ablation)
    datasets = list(dict.fromkeys(table["dataset"]))
    figure = Figure(figsize=(MAX_WIDTH, 2.6), layout="constrained")
    axes = figure.subplots(1, len(datasets), squeeze=False)[0]
    for ax, dataset in zip(axes, datasets, strict=True):
        _draw_panel(ax, table[table["dataset"] == dataset], scaling)
        ax.set_title(dataset)
    handles, _ = axes[0].get_legend_handles_labels()
    note = (
        "Lower is better. Mean and 95 % interval over the seeds (Student's t), cut at the panel's "
        "edge; averaged weights."
    )
    title = f"{ablation.title}, by {scaling.label}: study {ablation.study}"
    return finish(figure, title, note, handles)


def _draw_panel(ax: Axes, rows: pd.DataFrame, scaling: Scaling) -> None:
    for field, name in scaling.series.items():
        line = rows[rows["series"] == field]
        ax.errorbar(
            line[scaling.x],
            line["valid_nll_mean"],
            yerr=line["valid_nll_interval_95"].fillna(0.0),
            marker="o",
            markersize=4,
            capsize=2.5,
            linewidth=1.4,
            color=COLOURS[field],
            label=f"{name}: {', '.join(line['variant'])}",
        )
    ax.set_xscale("log")
    ticks = sorted(set(rows[scaling.x]))
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.margins(x=0.08, y=0.1)
    ax.set_xlabel(scaling.label)
    ax.set_ylabel(f"validation NLL\n({UNIT_LABEL[rows['unit'].iloc[0]]})")
    sns.despine(ax=ax)
