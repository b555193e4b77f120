"""The table `{ablation}-cost`: time and memory of training each variant."""

import pandas as pd
import pyarrow as pa

from model.table import Table, column
from study.comparing.selection import select
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.identity import NAMES
from study.tables.markdown import with_caption

TABLE = Table(
    name="cost",
    row="dataset and variant",
    note="Of the ablation `gradient-checkpointing`. It depends on the machine, as `timings` does.",
    columns=[
        column("study", pa.string(), "study"),
        column("dataset", pa.string(), "dataset"),
        column("variant", pa.string(), "variant, in display order"),
        column("num_runs", pa.int64(), "runs that the means are over"),
        column(
            "iteration_ms_mean",
            pa.float64(),
            "time per iteration, with validation and saving",
            "ms",
        ),
        column("iteration_ms_standard_error", pa.float64(), "its standard error over runs"),
        column("iteration_ms_ratio", pa.float64(), "its ratio to the first variant's"),
        column("peak_memory_mb_mean", pa.float64(), "peak memory of the GPU, or process", "10^6 B"),
        column("peak_memory_mb_standard_error", pa.float64(), "its standard error over runs"),
        column("peak_memory_ratio", pa.float64(), "its ratio to the first variant's"),
        column("device", pa.string(), "GPUs, or CPUs, that the runs were trained on"),
    ],
)


def rows(ablation: Ablation, results: StudyResults) -> pd.DataFrame:
    """One row per dataset and variant; ratios of means are to the dataset's first variant."""
    iterations = results.table("runs")[[*NAMES, "iterations_done"]]
    done = iterations.merge(results.table("timings"), on=NAMES)
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
                row[f"{name}_mean"] = of_variant[name].mean()
                row[f"{name}_standard_error"] = of_variant[name].sem()
                row[ratio] = of_variant[name].mean() / baseline[name].mean()
            rows.append(row)
    return pd.DataFrame(rows, columns=TABLE.schema.names)


def to_markdown(_ablation: Ablation, frame: pd.DataFrame) -> str:
    """The table for reading."""
    cells = [
        [
            row["dataset"],
            row["variant"],
            str(row["num_runs"]),
            row["device"],
            f"{row['iteration_ms_mean']:,.1f}",
            f"{row['iteration_ms_ratio']:.2f}",
            f"{row['peak_memory_mb_mean']:,.0f}",
            f"{row['peak_memory_ratio']:.2f}",
        ]
        for row in frame.to_dict("records")
    ]
    headings = ["dataset", "variant", "runs", "device"]
    headings += ["iteration (ms)", "ratio", "peak memory (MB)", "ratio"]
    return with_caption(_CAPTION, headings, cells, num_left=4)


_CAPTION = (
    "Cost of training, means over the runs; ratios to the first variant of each dataset. An "
    "iteration's time includes validation and saving. Memory is the GPU's, or on a CPU all of "
    "the process's, with what PyTorch itself takes."
)
