"""The table `{ablation}-scaling`: validation NLL against what grows along a series of variants.

For the ablations `blocks-and-repeats` and `depth` this is figure 4 of the paper; for `latents` it
tells the number of latents from depth.
"""

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from model.table import ResultError, Table, column
from study.comparing.selection import finished, select
from study.comparing.statistics import mean_and_interval
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.columns import mean_columns
from study.unit import column_in_unit

MULTIPLES = ("blocks", "repeats", "zdim_multiple")  # of x1, where all of them are 1


@dataclass(frozen=True)
class Scaling:
    """What an ablation's variants are drawn against, and the series that they form."""

    x: str  # a column of the table
    label: str
    series: dict[str, str]  # name of each, by the field that grows along it


_BLOCKS = Scaling(
    x="applications",
    label="blocks applied per resolution",
    series={"blocks": "own weights", "repeats": "shared weights"},
)
SCALINGS = {
    "blocks-and-repeats": _BLOCKS,
    "depth": _BLOCKS,
    "latents": Scaling(
        x="num_latents",
        label="latents per image",
        series={"repeats": "deeper", "zdim_multiple": "at one depth"},
    ),
}
TABLE = Table(
    name="scaling",
    row="dataset, series and variant",
    note="Of the ablations `blocks-and-repeats`, `depth` (figure 4 of the paper) and `latents`; x1 "
    "is in both series.",
    columns=[
        column("study", pa.string(), "study"),
        column("dataset", pa.string(), "dataset"),
        column("variant", pa.string(), "variant"),
        column("series", pa.string(), "field that grows: blocks, repeats or zdim_multiple"),
        column("applications", pa.int64(), "blocks applied per resolution: blocks x repeats"),
        column("num_parameters", pa.int64(), "trainable scalars"),
        column("num_latents", pa.int64(), "scalar latent variables per image"),
        column("stochastic_depth", pa.int64(), "stochastic layers: applied top-down blocks"),
        column("num_seeds", pa.int64(), "finished runs: what the means are over"),
        *mean_columns("valid_nll", "last validation NLL, averaged weights", "the column unit"),
        column("unit", pa.string(), "nats (per image) or bits/dim"),
    ],
)


def scaling_of(ablation: Ablation) -> Scaling:
    """What an ablation is drawn against; raises ResultError for one that has no such figure."""
    if ablation.name not in SCALINGS:
        known = ", ".join(SCALINGS)
        raise ResultError(f"ablation {ablation.name} has no series; those with some: {known}")
    return SCALINGS[ablation.name]


def rows(ablation: Ablation, results: StudyResults) -> pd.DataFrame:
    """One row per dataset, series and variant; x1, where nothing has grown yet, is in each."""
    scaling, runs = scaling_of(ablation), results.tables["runs"]
    rows = []
    for dataset, variants in ablation.variants.items():
        for variant in variants:
            of_variant = select(runs, ablation.study, dataset, variant)
            first = of_variant.iloc[0]
            valid_nll = column_in_unit(finished(of_variant), "valid_nll")
            row = {
                **{name: first[name] for name in ("study", "dataset", "variant", "unit")},
                **{name: first[name] for name in ("num_parameters", "num_latents")},
                "stochastic_depth": first["stochastic_depth"],
                "applications": first["blocks"] * first["repeats"],
                "num_seeds": len(valid_nll),
                **mean_and_interval("valid_nll", valid_nll),
            }
            rows += [
                row | {"series": field}
                for field in scaling.series
                if all(first[other] == 1 for other in MULTIPLES if other != field)
            ]
    table = pd.DataFrame(rows, columns=TABLE.schema.names)
    return table.sort_values(["dataset", "series", scaling.x], kind="stable")
