"""Validation NLL against what grows along a series of variants: blocks, repeats, latents.

For the ablation `blocks-and-repeats` this is figure 4 of the paper; for `latents` it tells the
number of latents from depth.
"""

import sys
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
import pyarrow as pa
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.comparison import Ablation, is_diverged, mean, select, standard_error
from study.figures import MAX_WIDTH, STYLE, save
from study.own_files import Inputs, command
from study.runs import UNIT_LABEL, ResultError, column, write_frame

MULTIPLES = ("blocks", "repeats", "zdim_multiple")  # of x1, where all of them are 1
COLOURS = dict(zip(MULTIPLES, sns.color_palette("colorblind"), strict=False))


@dataclass(frozen=True)
class Scaling:
    """What an ablation's variants are drawn against, and the series that they form."""

    x: str  # a column of SCALING
    label: str
    series: dict[str, str]  # name of each, by the field that grows along it


SCALINGS = {
    "blocks-and-repeats": Scaling(
        x="applications",
        label="blocks applied per resolution",
        series={"blocks": "own weights", "repeats": "shared weights"},
    ),
    "latents": Scaling(
        x="num_latents",
        label="latents per image",
        series={"repeats": "deeper", "zdim_multiple": "at one depth"},
    ),
}
SCALING = pa.schema(
    [
        column("study", pa.string(), "study"),
        column("dataset", pa.string(), "dataset"),
        column("variant", pa.string(), "variant"),
        column("series", pa.string(), "field that grows: blocks, repeats or zdim_multiple"),
        column("applications", pa.int64(), "blocks applied per resolution: blocks x repeats"),
        column("num_parameters", pa.int64(), "trainable scalars"),
        column("num_latents", pa.int64(), "scalar latent variables per image"),
        column("stochastic_depth", pa.int64(), "stochastic layers: applied top-down blocks"),
        column("num_seeds", pa.int64(), "finished runs: what the means are over"),
        column("valid_nll_mean", pa.float64(), "last validation NLL, EMA weights, in unit"),
        column("valid_nll_standard_error", pa.float64(), "its standard error over seeds"),
        column("unit", pa.string(), "nats (per image) or bits/dim"),
    ]
)


def scaling_of(ablation: Ablation) -> Scaling:
    """What an ablation is drawn against; raises ResultError for one that has no such figure."""
    if ablation.ablation not in SCALINGS:
        known = ", ".join(SCALINGS)
        raise ResultError(f"ablation {ablation.ablation} has no series; those with some: {known}")
    return SCALINGS[ablation.ablation]


def scaling_table(ablation: Ablation, runs: pd.DataFrame) -> pd.DataFrame:
    """One row per dataset, series and variant; x1, where nothing has grown yet, is in each."""
    scaling, rows = scaling_of(ablation), []
    for dataset, variants in ablation.variants.items():
        for variant in variants:
            of_variant = select(runs, ablation.study, dataset, variant)
            first = of_variant.iloc[0]
            finished = of_variant[~is_diverged(of_variant)]
            row = {
                **{name: first[name] for name in ("study", "dataset", "variant", "unit")},
                **{name: first[name] for name in ("num_parameters", "num_latents")},
                "stochastic_depth": first["stochastic_depth"],
                "applications": first["blocks"] * first["repeats"],
                "num_seeds": len(finished),
                "valid_nll_mean": mean(list(finished["valid_nll"])),
                "valid_nll_standard_error": standard_error(list(finished["valid_nll"])),
            }
            rows += [
                row | {"series": field}
                for field in scaling.series
                if all(first[other] == 1 for other in MULTIPLES if other != field)
            ]
    table = pd.DataFrame(rows, columns=SCALING.names)
    return table.sort_values(["dataset", "series", scaling.x], kind="stable")


def draw_scaling(scaling: Scaling, table: pd.DataFrame) -> Figure:
    """A panel per dataset, a line per series: mean and standard error over the seeds."""
    datasets = list(dict.fromkeys(table["dataset"]))
    with mpl.rc_context(STYLE):
        width = min(3.5 * len(datasets), MAX_WIDTH)
        figure = Figure(figsize=(width, 3.0), layout="constrained")
        axes = figure.subplots(1, len(datasets), squeeze=False)[0]
        for ax, dataset in zip(axes, datasets, strict=True):
            _draw_panel(ax, table[table["dataset"] == dataset], scaling)
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


def _draw_panel(ax: Axes, rows: pd.DataFrame, scaling: Scaling) -> None:
    for field, name in scaling.series.items():
        line = rows[rows["series"] == field]
        ax.errorbar(
            line[scaling.x],
            line["valid_nll_mean"],
            yerr=line["valid_nll_standard_error"].fillna(0.0),
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


def write(inputs: Inputs) -> None:
    """Write {ablation}-scaling as a table and a figure."""
    name = f"{inputs.ablation.ablation}-scaling"
    table = scaling_table(inputs.ablation, inputs.table("runs"))
    write_frame(table, SCALING, inputs.tables / f"{name}.parquet")
    save(draw_scaling(scaling_of(inputs.ablation), table), inputs.figures, name)


if __name__ == "__main__":
    sys.exit(command(write, __doc__))
