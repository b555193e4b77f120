"""What the variants of an ablation cost in training: time per iteration and peak memory."""

import sys

import matplotlib as mpl
import pandas as pd
import pyarrow as pa
import seaborn as sns
from matplotlib.figure import Figure
from tabulate import tabulate

from model.files import write_text
from study.comparison import Ablation, mean, records, select, standard_error
from study.figures import MAX_WIDTH, STYLE, save
from study.own_files import Inputs, command
from study.runs import IDENTITY, column, write_frame

COST = pa.schema(
    [
        column("study", pa.string(), "study"),
        column("dataset", pa.string(), "dataset"),
        column("variant", pa.string(), "variant, in display order"),
        column("num_runs", pa.int64(), "runs that the means are over"),
        column("iteration_ms_mean", pa.float64(), "ms per iteration, with validation and saving"),
        column("iteration_ms_standard_error", pa.float64(), "its standard error over runs"),
        column("iteration_ms_ratio", pa.float64(), "its ratio to the first variant's"),
        column("peak_memory_mb_mean", pa.float64(), "peak memory of the GPU, or process, 10^6 B"),
        column("peak_memory_mb_standard_error", pa.float64(), "its standard error over runs"),
        column("peak_memory_ratio", pa.float64(), "its ratio to the first variant's"),
        column("device", pa.string(), "GPUs, or CPUs, that the runs were trained on"),
    ]
)


def cost_table(ablation: Ablation, runs: pd.DataFrame, timings: pd.DataFrame) -> pd.DataFrame:
    """One row per dataset and variant; ratios of means are to the dataset's first variant."""
    key = [field.name for field in IDENTITY]
    done = runs[[*key, "iterations_done"]].merge(timings, on=key)
    done["iteration_ms"] = 1000 * done["wall_seconds"] / done["iterations_done"]
    done["peak_memory_mb"] = done["peak_memory_bytes"] / 1e6
    rows: list[dict[str, object]] = []
    for dataset, variants in ablation.variants.items():
        baseline = select(done, ablation.study, dataset, variants[0])
        for variant in variants:
            of_variant = select(done, ablation.study, dataset, variant)
            row: dict[str, object] = {
                **{name: of_variant[name].iloc[0] for name in ("study", "dataset", "variant")},
                "num_runs": len(of_variant),
                "device": ", ".join(sorted(set(of_variant["device"]))),
            }
            for name, ratio in (
                ("iteration_ms", "iteration_ms_ratio"),
                ("peak_memory_mb", "peak_memory_ratio"),
            ):
                row[f"{name}_mean"] = mean(list(of_variant[name]))
                row[f"{name}_standard_error"] = standard_error(list(of_variant[name]))
                row[ratio] = mean(list(of_variant[name])) / mean(list(baseline[name]))
            rows.append(row)
    return pd.DataFrame(rows, columns=COST.names)


def to_markdown(table: pd.DataFrame) -> str:
    """The table for reading."""
    cells = [
        [
            row["dataset"],
            row["variant"],
            str(row["num_runs"]),
            f"{row['iteration_ms_mean']:,.1f}",
            f"{row['iteration_ms_ratio']:.2f}",
            f"{row['peak_memory_mb_mean']:,.0f}",
            f"{row['peak_memory_ratio']:.2f}",
            row["device"],
        ]
        for row in records(table)
    ]
    headings = ["dataset", "variant", "runs", "iteration (ms)", "ratio", "peak memory (MB)"]
    text = tabulate(
        cells,
        headers=[*headings, "ratio", "device"],
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left"] * 2 + ["right"] * 5 + ["left"],
    )
    return (
        "Cost of training, means over the runs; ratios to the first variant of each dataset. An "
        "iteration's time includes validation and saving. Memory is the GPU's, or on a CPU all of "
        f"the process's, with what PyTorch itself takes.\n\n{text}\n"
    )


def draw_cost(table: pd.DataFrame) -> Figure:
    """Time and memory, a panel each: a bar per dataset and variant."""
    variants = list(dict.fromkeys(table["variant"]))
    datasets = list(dict.fromkeys(table["dataset"]))
    palette = sns.color_palette("colorblind", len(variants))
    thickness = 0.8 / len(variants)
    with mpl.rc_context(STYLE):
        height = 1.2 + 0.3 * len(table)
        figure = Figure(figsize=(MAX_WIDTH, height), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, name, label in zip(
            axes,
            ("iteration_ms", "peak_memory_mb"),
            ("time per iteration (ms)", "peak memory (MB)"),
            strict=True,
        ):
            for index, (variant, colour) in enumerate(zip(variants, palette, strict=True)):
                bars = table[table["variant"] == variant].set_index("dataset")
                places = [datasets.index(dataset) + index * thickness for dataset in bars.index]
                ax.barh(
                    places,
                    bars[f"{name}_mean"],
                    xerr=bars[f"{name}_standard_error"].fillna(0.0),
                    height=0.9 * thickness,
                    color=colour,
                    capsize=2.5,
                    label=variant,
                )
            ax.set_xlabel(label)
            sns.despine(ax=ax)
        middle = (len(variants) - 1) * thickness / 2
        axes[0].set_yticks([place + middle for place in range(len(datasets))], datasets)
        axes[0].invert_yaxis()
        figure.legend(
            *axes[0].get_legend_handles_labels(),
            loc="outside lower center",
            frameon=False,
            ncols=len(variants),
            title="Mean ± standard error over the runs.",
        )
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure


def write(inputs: Inputs) -> None:
    """Write {ablation}-cost as a table, for reading too, and a figure."""
    name = f"{inputs.ablation.ablation}-cost"
    table = cost_table(inputs.ablation, inputs.table("runs"), inputs.table("timings"))
    write_frame(table, COST, inputs.tables / f"{name}.parquet")
    write_text(inputs.tables / f"{name}.md", to_markdown(table))
    save(draw_cost(table), inputs.figures, name)


if __name__ == "__main__":
    sys.exit(command(write, __doc__))
