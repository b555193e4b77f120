"""The table `{ablation}-refinement`: bounds of finished runs at other step sizes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from model.table import Table, column
from study.collecting.run_result import RunResult
from study.comparing.selection import finished, select
from study.comparing.statistics import evaluation_error, mean_and_interval
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.columns import mean_columns
from study.tables.markdown import format_value, with_caption
from study.unit import in_unit

BOUNDS = ("nll", "rate", "rate_of_sigmas", "distortion")
UNIT = "the column unit"
TRAINED = 0  # in place of a number of repeats
TABLE = Table(
    name="refinement",
    row="dataset, variant and step size",
    note="Of ablations with a `refinement`: the trained model, and the same weights with each "
    "plain block applied more or less often, at a step that is shorter or longer in proportion "
    "(model/network/refinement.py). A seed's value is the mean over its test images and noises.",
    columns=[
        column("study", pa.string(), "study"),
        column("dataset", pa.string(), "dataset"),
        column("variant", pa.string(), "variant, in display order"),
        column("is_trained", pa.bool_(), "the model as it was trained"),
        column(
            "repeats",
            pa.int64(),
            "applications of each plain block; null where it was trained with different ones",
        ),
        column(
            "step",
            pa.float64(),
            "size of a step, that of the training being 1; null where it is not one for all blocks",
        ),
        column("stochastic_depth", pa.int64(), "stochastic layers: applied top-down blocks"),
        column(
            "flops_per_image",
            pa.int64(),
            "floating-point operations of one pass over an image, convolutions only",
        ),
        column("num_seeds", pa.int64(), "finished runs: what the means are over"),
        column("num_images", pa.int64(), "test images"),
        column("num_noises", pa.int64(), "passes over each image"),
        *mean_columns("nll", "one-sample bound on the test NLL, averaged weights", UNIT),
        *mean_columns("rate", "rate: KL of all stochastic layers", UNIT),
        *mean_columns("rate_of_sigmas", "the part of the rate that is of the sigmas alone", UNIT),
        *mean_columns("distortion", "distortion: -log p(x | z)", UNIT),
        *mean_columns("nll_difference", "NLL minus that of the trained step, paired", UNIT),
        column(
            "nll_difference_evaluation_error",
            pa.float64(),
            "standard error of that difference over the test images, seeds and noises averaged",
            UNIT,
        ),
        column("unit", pa.string(), "nats (per image) or bits/dim"),
    ],
)


def rows(ablation: Ablation, results: StudyResults) -> pd.DataFrame:
    """One row per dataset, variant and step size, the trained one first."""
    rows: list[dict[str, Any]] = []
    for dataset, variants in ablation.variants.items():
        for variant in variants:
            runs = finished(select(results.tables["runs"], ablation.study, dataset, variant))
            tables = [
                RunResult.read(results.run_dir(dataset, variant, seed)).table("refinement")
                for seed in runs["seed"]
            ]
            if tables:
                identity = {"study": ablation.study, "dataset": dataset, "variant": variant}
                bounds = [table.to_pandas() for table in tables]
                rows += [identity | row for row in _of_variant(runs.iloc[0], bounds)]
    return pd.DataFrame(rows, columns=TABLE.schema.names)


def _of_variant(run: "pd.Series[Any]", seeds: Sequence[pd.DataFrame]) -> list[dict[str, Any]]:
    """The rows of a variant, given the bounds of each of its runs."""
    scale = in_unit(1.0, run["unit"], run["likelihood_dims"])
    by_step = [dict(list(seed.groupby(_step(seed)))) for seed in seeds]
    trained_repeats = by_step[0][TRAINED]["repeats"].iloc[0]
    found = []
    for step, part in by_step[0].items():
        about = part.iloc[0]
        of_seeds = [seed[step] for seed in by_step]
        differences = [
            scale * (_per_image(seed[step]) - _per_image(seed[TRAINED])) for seed in by_step
        ]
        row: dict[str, Any] = {
            **{name: about[name] for name in ("is_trained", "repeats", "stochastic_depth")},
            "step": trained_repeats / about["repeats"],
            "flops_per_image": about["flops_per_image"],
            "num_seeds": len(seeds),
            "num_images": part["image"].nunique(),
            "num_noises": part["noise"].nunique(),
            "nll_difference_evaluation_error": evaluation_error(differences),
            "unit": run["unit"],
        }
        for name in BOUNDS:
            means = [scale * of_seed[f"{name}_nats"].mean() for of_seed in of_seeds]
            row |= mean_and_interval(name, pd.Series(means))
        paired = pd.Series([difference.mean() for difference in differences])
        row |= mean_and_interval("nll_difference", paired)
        found.append(row)
    return found


def _step(bounds: pd.DataFrame) -> "pd.Series[int]":
    """The repeats of each row, and TRAINED for the trained model, which may have several."""
    return bounds["repeats"].mask(bounds["is_trained"], TRAINED).astype(int)


def _per_image(bounds: pd.DataFrame) -> "np.ndarray[Any, Any]":
    """The mean NLL over the noises [N], nats, by image."""
    return bounds.groupby("image")["nll_nats"].mean().to_numpy()


def to_markdown(_ablation: Ablation, frame: pd.DataFrame) -> str:
    """The table for reading."""
    cells = []
    for row in frame.to_dict("records"):
        unit = row["unit"]

        def value(name: str, sign: str = "", row: Mapping[Any, Any] = row, unit: str = unit) -> str:
            mean, half = row[f"{name}_mean"], row[f"{name}_interval_95"]
            return format_value(mean, half, row[f"{name}_standard_error"], unit, sign)

        error = row["nll_difference_evaluation_error"]
        difference = "" if row["is_trained"] else value("nll_difference", "+")
        cells.append(
            [
                row["dataset"],
                row["variant"],
                "" if pd.isna(row["repeats"]) else f"{row['repeats']:.0f}",
                "" if pd.isna(row["step"]) else f"{row['step']:.3g}",
                f"{row['flops_per_image'] / 1e6:,.3g}",
                str(row["num_seeds"]),
                value("nll"),
                difference,
                "" if row["is_trained"] else f"{error:.2g}",
                value("rate"),
                value("rate_of_sigmas"),
                unit,
            ]
        )
    headings = ["dataset", "variant", "repeats", "step", "MFLOP/image", "seeds", "test NLL"]
    headings += ["− trained", "error over images", "rate", "of it: sigmas", "unit"]
    return with_caption(_CAPTION, headings, cells, num_left=2)


_CAPTION = (
    "Bounds of trained models at other step sizes: each plain block is applied so often, with a "
    "step (that of the training is 1) in proportion; the first row of a variant is as it was "
    "trained. Means ± half of their 95 % intervals over the seeds (Student's t); differences are "
    "paired by seed and image; their error over images says how much they would differ on others."
)
