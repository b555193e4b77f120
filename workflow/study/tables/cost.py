"""The table `{ablation}-cost`: time and memory of training each variant."""

from collections.abc import Hashable, Mapping
from math import isfinite

import pandas as pd
import pyarrow as pa

from model.table import Table, column
from study.comparing.code import code_columns, joined, with_note
from study.comparing.selection import select
from study.comparing.statistics import mean_and_interval
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.columns import mean_columns
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
        *mean_columns("iteration_ms", "time per iteration, with validation and saving", "ms"),
        column("iteration_ms_ratio", pa.float64(), "its ratio to the first variant's"),
        *mean_columns("peak_memory_mb", "peak memory of the GPU, or process", "10^6 B"),
        column("peak_memory_ratio", pa.float64(), "its ratio to the first variant's"),
        column("device", pa.string(), "GPUs, or CPUs, that the runs were trained on"),
        *code_columns("training"),
    ],
)


def rows(ablation: Ablation, results: StudyResults) -> pd.DataFrame:
    """One row per dataset and variant; ratios of means are to the dataset's first variant."""
    iterations = results.tables["runs"][[*NAMES, "iterations_done"]]
    done = iterations.merge(results.tables["timings"], on=NAMES)
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
                "training_code_digest": joined(of_variant["training_code_digest"]),
            }
            for name, ratio in (
                ("iteration_ms", "iteration_ms_ratio"),
                ("peak_memory_mb", "peak_memory_ratio"),
            ):
                row |= mean_and_interval(name, of_variant[name])
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
            _with_interval(row, "iteration_ms", 1),
            f"{row['iteration_ms_ratio']:.2f}",
            _with_interval(row, "peak_memory_mb", 0),
            f"{row['peak_memory_ratio']:.2f}",
        ]
        for row in frame.to_dict("records")
    ]
    headings = ["dataset", "variant", "runs", "device"]
    headings += ["iteration (ms)", "ratio", "peak memory (MB)", "ratio"]
    return with_caption(with_note(_CAPTION, frame), headings, cells, num_left=4)


def _with_interval(row: Mapping[Hashable, float], name: str, digits: int) -> str:
    half_width = row[f"{name}_interval_95"]
    interval = f" ± {half_width:,.{digits}f}" if isfinite(half_width) else ""
    return f"{row[f'{name}_mean']:,.{digits}f}{interval}"


_CAPTION = (
    "Cost of training, means ± half of their 95 % intervals over the runs (Student's t); ratios to "
    "the first variant of each dataset. An iteration's time includes validation and saving. Memory "
    "is the GPU's, or on a CPU all of the process's, with what PyTorch itself takes."
)
