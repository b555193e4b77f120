"""Figure 4 of the paper: validation NLL against blocks with own weights, and against repeats."""

import matplotlib as mpl
import pandas as pd
import pyarrow as pa
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.comparison import Ablation, is_diverged, mean, select, standard_error
from study.figures import MAX_WIDTH, STYLE
from study.runs import UNIT_LABEL, column

OWN, SHARED = "own weights", "shared weights"
COLOURS = {OWN: sns.color_palette("colorblind")[0], SHARED: sns.color_palette("colorblind")[1]}

BLOCKS_AND_REPEATS = pa.schema(
    [
        column("study", pa.string(), "study"),
        column("dataset", pa.string(), "dataset"),
        column("variant", pa.string(), "variant"),
        column("series", pa.string(), "own weights: x1, x2, ...; shared weights: x1, r2, r3, ..."),
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


def blocks_and_repeats(ablation: Ablation, runs: pd.DataFrame) -> pd.DataFrame:
    """One row per dataset, series and variant; x1, one block applied once, is in both series."""
    rows = []
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
            rows += [row | {"series": OWN}] if first["repeats"] == 1 else []
            rows += [row | {"series": SHARED}] if first["blocks"] == 1 else []
    table = pd.DataFrame(rows, columns=BLOCKS_AND_REPEATS.names)
    return table.sort_values(["dataset", "series", "applications"], kind="stable")


def draw(table: pd.DataFrame) -> Figure:
    """A panel per dataset: mean and standard error over the seeds, a line per series."""
    datasets = list(dict.fromkeys(table["dataset"]))
    with mpl.rc_context(STYLE):
        width = min(3.5 * len(datasets), MAX_WIDTH)
        figure = Figure(figsize=(width, 3.0), layout="constrained")
        axes = figure.subplots(1, len(datasets), squeeze=False)[0]
        for ax, dataset in zip(axes, datasets, strict=True):
            _draw_panel(ax, table[table["dataset"] == dataset])
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


def _draw_panel(ax: Axes, rows: pd.DataFrame) -> None:
    for series, colour in COLOURS.items():
        line = rows[rows["series"] == series]
        ax.errorbar(
            line["applications"],
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
    ticks = sorted(set(rows["applications"]))
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.margins(x=0.08, y=0.1)
    ax.set_xlabel("blocks applied per resolution")
    ax.set_ylabel(f"validation NLL\n({UNIT_LABEL[rows['unit'].iloc[0]]})")
    sns.despine(ax=ax)
