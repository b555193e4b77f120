"""Figure 4 of the paper: validation NLL against blocks with own weights, and against repeats."""

import sys

import pandas as pd
import pyarrow as pa
import seaborn as sns

from study.comparison import Ablation, is_diverged, mean, select, standard_error
from study.figures import save
from study.own_files import Inputs, command
from study.runs import column, write_frame
from study.scaling_figure import draw_scaling

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


def write(inputs: Inputs) -> None:
    """Write {ablation}-scaling as a table and a figure."""
    name = f"{inputs.ablation.ablation}-scaling"
    table = blocks_and_repeats(inputs.ablation, inputs.table("runs"))
    write_frame(table, BLOCKS_AND_REPEATS, inputs.tables / f"{name}.parquet")
    figure = draw_scaling(table, COLOURS, x="applications", label="blocks applied per resolution")
    save(figure, inputs.figures, name)


if __name__ == "__main__":
    sys.exit(command(write, __doc__))
