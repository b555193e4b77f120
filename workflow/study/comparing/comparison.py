"""The comparison that an ablation makes: statistics over seeds, beside what the paper published."""

from collections.abc import Hashable
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student_t

from model.table import ResultError
from study.comparing.published import published_rows
from study.comparing.selection import finished, select
from study.planning.ablation import Ablation

Row = dict[Hashable, Any]

METRICS = ("nll", "iw_nll", "rate_nats")  # columns of runs, of which the table has the means
# A mean over seeds needs these to agree, and the first three must agree on the whole dataset.
SHARED = (
    "unit",
    "dataset_version",
    "num_images",
    "likelihood_dims",
    "num_parameters",
    "stochastic_depth",
    "num_latents",
    "importance_samples",
)
COMPARABLE = SHARED[:4]


def interval_95(values: "pd.Series[float]") -> float:
    """Half the width of the mean's 95 % interval by Student's t; NaN below two values."""
    if len(values) < 2:
        return nan
    return float(student_t.ppf(0.975, len(values) - 1)) * float(np.asarray(values.sem()))


def compare(
    ablation: Ablation, runs: pd.DataFrame, timings: pd.DataFrame, *, is_partial: bool = False
) -> list[Row]:
    """One row per dataset and variant, then the paper's rows that no variant of ours has.

    Means are over finished seeds.  Raises ResultError for a missing run, unless the table is
    partial: then a variant without any run is a row of origin `missing`, and variants may have
    different seeds.
    """
    rows: list[Row] = []
    for dataset, variants in ablation.variants.items():
        of_study = runs[(runs["study"] == ablation.study) & (runs["dataset"] == dataset)]
        if not is_partial:
            _check_seeds(of_study, ablation, dataset)
        present = set(of_study["variant"])
        trained = {v: _trained(ablation, of_study, dataset, v) for v in variants if v in present}
        _check_comparable(dataset, trained)
        versions = {row["dataset_version"] for row in trained.values()}
        rows += trained.values()
        rows += [_missing(ablation, dataset, v) for v in variants if v not in present]
        rows += _of_the_paper_only(ablation, dataset, min(versions, default=""))
    hours = timings.groupby(["study", "dataset", "variant"])["gpu_hours"].mean()
    for row in rows:
        key = (row["study"], row["dataset"], row["variant"])
        row["gpu_hours_mean"] = hours.get(key, nan)
    return rows


def _trained(ablation: Ablation, of_study: pd.DataFrame, dataset: str, variant: str) -> Row:
    runs = select(of_study, ablation.study, dataset, variant)
    baseline = ablation.variants[dataset][0]
    of_mean = finished(runs)
    statistics: Row = {}
    for metric in METRICS:
        statistics[f"{metric}_mean"] = of_mean[metric].mean()
        statistics[f"{metric}_standard_error"] = of_mean[metric].sem()
    differences = of_mean.set_index("seed")["nll"].iloc[:0]
    if variant != baseline:
        of_baseline = finished(of_study[of_study["variant"] == baseline])
        pairs = of_mean.set_index("seed")["nll"] - of_baseline.set_index("seed")["nll"]
        differences = pairs.dropna()
    shared: Row = {name: _shared_value(runs, name, f"{dataset}/{variant}") for name in SHARED}
    in_paper = _in_paper(ablation, dataset, variant, shared["dataset_version"])
    is_comparable = in_paper["published_is_comparable"]
    return {
        **_identity(ablation, dataset, variant),
        "origin": "trained",
        "num_seeds": len(of_mean),
        "num_diverged": len(runs) - len(of_mean),
        **statistics,
        "nll_interval_95": interval_95(of_mean["nll"]),
        "nll_difference_mean": differences.mean(),
        "nll_difference_standard_error": differences.sem(),
        "num_pairs": len(differences),
        "rate_share": of_mean["rate_nats"].mean() / of_mean["nll_nats"].mean(),
        **shared,
        **in_paper,
        "nll_minus_published": (
            statistics["nll_mean"] - in_paper["published_nll"] if is_comparable else nan
        ),
    }


def _missing(ablation: Ablation, dataset: str, variant: str) -> Row:
    """A variant of a partial table without any run."""
    return {
        **_identity(ablation, dataset, variant),
        "origin": "missing",
        **_in_paper(ablation, dataset, variant, ""),
    }


def _of_the_paper_only(ablation: Ablation, dataset: str, dataset_version: str) -> list[Row]:
    """The paper's further methods, in its order."""
    return [
        {
            **_identity(ablation, dataset, row["method"]),
            "baseline": None,
            "origin": "published",
            "unit": row["unit"],
            **_published(row, dataset_version),
        }
        for row in _published_rows(ablation, dataset)
        if row["variant"] not in ablation.variants[dataset]
    ]


def _identity(ablation: Ablation, dataset: str, variant: str) -> Row:
    return {
        "study": ablation.study,
        "ablation": ablation.name,
        "dataset": dataset,
        "variant": variant,
        "baseline": ablation.variants[dataset][0],
    }


def _published_rows(ablation: Ablation, dataset: str) -> list[Row]:
    """The rows of the ablation's source that hold a number."""
    if ablation.source is None:
        return []
    rows = published_rows(ablation.source, dataset)
    return rows[rows["nll"].notna()].to_dict("records")


def _in_paper(ablation: Ablation, dataset: str, variant: str, dataset_version: str) -> Row:
    """What the paper says of a variant of ours."""
    rows = _published_rows(ablation, dataset)
    row = next((row for row in rows if row["variant"] == variant), _NOT_PUBLISHED)
    return _published(row, dataset_version)


_NOT_PUBLISHED: Row = {
    "nll": nan,
    **dict.fromkeys(("method", "params", "bound", "mark", "dataset_version"), ""),
}


def _published(row: Row, dataset_version: str) -> Row:
    """A row of the paper under our columns' names, beside runs on this version of the dataset."""
    return {
        "published_method": row["method"],
        "published_parameters": row["params"],
        "published_bound": row["bound"],
        "published_nll": row["nll"],
        "published_mark": row["mark"],
        "published_is_comparable": not dataset_version  # nothing to compare with yet
        or row["dataset_version"] in dataset_version,
    }


def _shared_value(runs: pd.DataFrame, name: str, what: str) -> Any:
    """The value of a column that all seeds have."""
    values = runs[name].unique().tolist()
    if len(values) != 1:
        raise ResultError(f"{what}: the seeds differ in {name}: {', '.join(map(str, values))}")
    return values[0]


def _check_seeds(runs: pd.DataFrame, ablation: Ablation, dataset: str) -> None:
    """A mean over fewer seeds than its neighbour's is a missing run, unless one diverged."""
    seeds = {
        variant: select(runs, ablation.study, dataset, variant)["seed"].tolist()
        for variant in ablation.variants[dataset]
    }
    wanted = sorted({seed for found in seeds.values() for seed in found})
    for variant, found in seeds.items():
        if found != wanted:
            missing = min(set(wanted) - set(found))
            raise ResultError(
                f"the table of runs has {dataset}/{variant} without seed {missing}; train and "
                "evaluate it, then make the tables again with snakemake"
            )


def _check_comparable(dataset: str, rows: dict[str, Row]) -> None:
    for name in COMPARABLE:
        values = {row[name]: variant for variant, row in rows.items()}
        if len(values) > 1:
            found = ", ".join(f"{variant} {value}" for value, variant in values.items())
            raise ResultError(f"{dataset}: variants of different {name} are not compared: {found}")
