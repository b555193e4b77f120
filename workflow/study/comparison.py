"""The comparison that an ablation makes: statistics over seeds, beside what the paper published."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from pydantic import ConfigDict
from scipy.stats import t as student_t

from model.config import ConfigError, from_mapping
from study.paper import published_rows
from study.runs import ResultError, column

_WEIGHTS_LABEL = {"ema": "EMA", "raw": "raw"}


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """What an ablation compares: `results/{study}/ablations/{ablation}.yaml`."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    study: str
    ablation: str
    title: str
    description: str
    variants: dict[str, list[str]]  # per dataset, in display order, the baseline first
    source: str | None = None  # the paper's table or figure whose values stand beside ours

    @classmethod
    def load(cls, path: Path) -> "Ablation":
        """Read an ablation's file; raises ResultError, one line."""
        if not path.is_file():
            raise ResultError(
                f"{path} is missing: snakemake writes it for each ablation of a study"
            )
        try:
            ablation = from_mapping(cls, yaml.safe_load(path.read_text()))
        except (ConfigError, yaml.YAMLError) as error:
            raise ResultError(f"{path}: {' '.join(str(error).split())}") from None
        if not ablation.variants or not all(ablation.variants.values()):
            raise ResultError(f"{path}: variants must name a dataset, and variants for each")
        return ablation


ABLATION = pa.schema(
    [
        column("study", pa.string(), "study"),
        column("ablation", pa.string(), "ablation"),
        column("dataset", pa.string(), "dataset"),
        column("variant", pa.string(), "variant, in display order"),
        column("baseline", pa.string(), "variant that the differences are to: the dataset's first"),
        column("num_parameters", pa.int64(), "trainable scalars"),
        column("stochastic_depth", pa.int64(), "stochastic layers: applied top-down blocks"),
        column("num_latents", pa.int64(), "scalar latent variables per image"),
        column("num_seeds", pa.int64(), "finished runs: what the means are over"),
        column("num_diverged", pa.int64(), "further runs, diverged: in no mean"),
        column("nll_mean", pa.float64(), "one-sample bound on the test NLL, mean over seeds, unit"),
        column("nll_standard_error", pa.float64(), "its standard error over seeds (ddof 1), unit"),
        column("nll_interval_95", pa.float64(), "half width of its 95 % interval (Student's t)"),
        column("unit", pa.string(), "nats (per image) or bits/dim"),
        column("nll_difference_mean", pa.float64(), "NLL minus the baseline's, mean over pairs"),
        column("nll_difference_standard_error", pa.float64(), "its standard error over pairs"),
        column("num_pairs", pa.int64(), "seeds finished by variant and baseline; 0 for itself"),
        column("iw_nll_mean", pa.float64(), "importance-weighted bound, mean over seeds, unit"),
        column("iw_nll_standard_error", pa.float64(), "its standard error over seeds, unit"),
        column("importance_samples", pa.int64(), "samples K of the importance-weighted bound"),
        column("rate_nats_mean", pa.float64(), "rate, nats per image, mean over seeds"),
        column("rate_share", pa.float64(), "mean rate / mean NLL, both in nats"),
        column("dataset_version", pa.string(), "version of the dataset"),
        column("split", pa.string(), "split that was evaluated"),
        column("num_images", pa.int64(), "images that each run's NLL is the mean of"),
        column("likelihood_dims", pa.int64(), "pixel values per image that the likelihood scores"),
        column("estimator", pa.string(), "estimator of nll_mean, and the weights evaluated"),
        column("gpu_hours_mean", pa.float64(), "GPUs x hours of a training, mean over all seeds"),
        column("origin", pa.string(), "trained, published (the paper's row only) or missing"),
        column("published_method", pa.string(), "the method's name in the paper"),
        column("published_parameters", pa.string(), "parameters as the paper writes them"),
        column("published_bound", pa.string(), "<= where the published NLL is an upper bound"),
        column("published_nll", pa.float64(), "the paper's NLL, in unit"),
        column("published_mark", pa.string(), "the paper's mark: × for learning that deteriorates"),
        column("published_is_comparable", pa.bool_(), "false: another version of the dataset"),
        column(
            "nll_minus_published",
            pa.float64(),
            "nll_mean minus published_nll; null if not comparable",
        ),
    ]
)

# Numbers of one dataset may stand in one column only if these agree.
_COMPARABLE = ["unit", "dataset_version", "split", "num_images", "likelihood_dims", "estimator"]


def standard_error(values: Sequence[float]) -> float:
    """The standard error of the mean, ddof 1; NaN below two values."""
    if len(values) < 2:
        return nan
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def mean(values: Sequence[float]) -> float:
    """The mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else nan


def is_diverged(runs: pd.DataFrame) -> "pd.Series[bool]":
    """Which runs diverged: stopped as such, or with a test NLL that is not finite."""
    return (runs["status"] == "diverged") | ~np.isfinite(runs["nll_nats"])


def select(runs: pd.DataFrame, study: str, dataset: str, variant: str) -> pd.DataFrame:
    """The runs of one variant, by seed; raises ResultError if there are none."""
    found = runs[
        (runs["study"] == study) & (runs["dataset"] == dataset) & (runs["variant"] == variant)
    ]
    if found.empty:
        raise ResultError(
            f"the table of runs has no run of {study}: {dataset}/{variant}; train and evaluate it, "
            "then write the table with `python -m study runs`"
        )
    return found.sort_values("seed")


def estimator(weights: str) -> str:
    """What the column nll estimates, with the weights that were evaluated ("ema" or "raw")."""
    return f"one-sample ELBO, {_WEIGHTS_LABEL[weights]} weights"


def interval_95(values: Sequence[float]) -> float:
    """Half the width of the mean's 95 % interval by Student's t; NaN below two values."""
    if len(values) < 2:
        return nan
    return float(student_t.ppf(0.975, len(values) - 1)) * standard_error(values)


def compare(ablation: Ablation, runs: pd.DataFrame, *, is_partial: bool = False) -> pd.DataFrame:
    """One row per dataset and variant: means over finished seeds, beside what the paper says.

    Raises ResultError for a missing run, unless the table is partial: then a variant without any
    run is a row of origin `missing`, and variants may have different seeds.
    """
    rows = []
    for dataset, variants in ablation.variants.items():
        of_dataset = runs[(runs["study"] == ablation.study) & (runs["dataset"] == dataset)]
        present = set(of_dataset["variant"]) if is_partial else set(variants)
        rows_of_dataset = [
            _row(ablation, select(runs, ablation.study, dataset, variant), of_dataset, variants[0])
            for variant in variants
            if variant in present
        ]
        if not is_partial:
            _check_seeds(runs, ablation, dataset)
        _check_comparable(dataset, rows_of_dataset)
        rows += rows_of_dataset
        rows += [
            {
                "study": ablation.study,
                "ablation": ablation.ablation,
                "dataset": dataset,
                "variant": variant,
                "baseline": variants[0],
                "origin": "missing",
                **_in_paper(ablation, dataset, variant, ""),
            }
            for variant in variants
            if variant not in present
        ]
    return pd.DataFrame(rows, columns=ABLATION.names)


def complete(ablation: Ablation, table: pd.DataFrame, timings: pd.DataFrame) -> pd.DataFrame:
    """`compare`'s table with GPU hours, and with the paper's rows that no variant of ours has."""
    key = ["study", "dataset", "variant"]
    hours = timings.groupby(key)["gpu_hours"].mean().rename("gpu_hours_mean")
    table = table.drop(columns="gpu_hours_mean").join(hours, on=key)
    parts = []
    for dataset in ablation.variants:
        of_dataset = table[table["dataset"] == dataset]
        versions = [*of_dataset["dataset_version"].dropna(), ""]
        parts += [
            *records(of_dataset),
            *(
                {
                    "study": ablation.study,
                    "ablation": ablation.ablation,
                    "dataset": dataset,
                    "variant": row["method"],
                    "unit": row["unit"],
                    "origin": "published",
                    **_published(row, versions[0]),
                }
                for row in _published_rows(ablation, dataset)
                if row["variant"] not in ablation.variants[dataset]
            ),
        ]
    integers = [f.name for f in ABLATION if f.type == pa.int64()]
    completed = pd.DataFrame(parts, columns=ABLATION.names)
    return completed.astype(dict.fromkeys(integers, "Int64"))


def _published_rows(ablation: Ablation, dataset: str) -> list[dict[str, Any]]:
    """The rows of the ablation's source that hold a number."""
    if ablation.source is None:
        return []
    rows = published_rows(ablation.source, dataset)
    return records(rows[rows["nll"].notna()])


def _in_paper(
    ablation: Ablation, dataset: str, variant: str, dataset_version: str
) -> dict[str, Any]:
    """What the paper says of a variant of ours."""
    rows = _published_rows(ablation, dataset)
    row = next((row for row in rows if row["variant"] == variant), _NOT_PUBLISHED)
    return _published(row, dataset_version)


_NOT_PUBLISHED = {
    "nll": nan,
    **dict.fromkeys(("method", "params", "bound", "mark", "dataset_version"), ""),
}


def _published(row: dict[str, Any], dataset_version: str) -> dict[str, Any]:
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


def _row(
    ablation: Ablation, runs: pd.DataFrame, of_dataset: pd.DataFrame, baseline: str
) -> dict[str, Any]:
    finished = runs[~is_diverged(runs)]
    dataset, variant = str(runs["dataset"].iloc[0]), str(runs["variant"].iloc[0])
    of_baseline = of_dataset[of_dataset["variant"] == baseline]
    differences = (
        []
        if variant == baseline
        else _differences(finished, of_baseline[~is_diverged(of_baseline)])
    )
    same = [
        "num_parameters",
        "stochastic_depth",
        "num_latents",
        "unit",
        "importance_samples",
        "dataset_version",
        "split",
        "num_images",
        "likelihood_dims",
        "weights",
    ]
    of_all_seeds = {name: _the_one(runs, name, f"{dataset}/{variant}") for name in same}
    in_paper = _in_paper(ablation, dataset, variant, of_all_seeds["dataset_version"])
    minus_published = mean(list(finished["nll"])) - in_paper["published_nll"]
    return {
        "study": ablation.study,
        "ablation": ablation.ablation,
        "dataset": dataset,
        "variant": variant,
        "baseline": baseline,
        "num_seeds": len(finished),
        "num_diverged": len(runs) - len(finished),
        "nll_mean": mean(list(finished["nll"])),
        "nll_standard_error": standard_error(list(finished["nll"])),
        "nll_interval_95": interval_95(list(finished["nll"])),
        "nll_difference_mean": mean(differences),
        "nll_difference_standard_error": standard_error(differences),
        "num_pairs": len(differences),
        "iw_nll_mean": mean(list(finished["iw_nll"])),
        "iw_nll_standard_error": standard_error(list(finished["iw_nll"])),
        "rate_nats_mean": mean(list(finished["rate_nats"])),
        "rate_share": mean(list(finished["rate_nats"])) / mean(list(finished["nll_nats"])),
        "estimator": estimator(of_all_seeds.pop("weights")),
        **of_all_seeds,
        "origin": "trained",
        **in_paper,
        "nll_minus_published": minus_published if in_paper["published_is_comparable"] else nan,
    }


def _differences(runs: pd.DataFrame, baseline: pd.DataFrame) -> list[float]:
    """NLL minus the baseline's, for each seed that both have."""
    nll, nll_baseline = runs.set_index("seed")["nll"], baseline.set_index("seed")["nll"]
    return list((nll - nll_baseline).dropna())


def _the_one(runs: pd.DataFrame, name: str, what: str) -> Any:
    """The value of a column that all seeds share."""
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
                "evaluate it, then write the table with `python -m study runs`"
            )


def _check_comparable(dataset: str, rows: Sequence[dict[str, Any]]) -> None:
    for name in _COMPARABLE:
        values = {row[name]: row["variant"] for row in rows}
        if len(values) > 1:
            found = ", ".join(f"{variant} {value}" for value, variant in values.items())
            raise ResultError(f"{dataset}: variants of different {name} are not compared: {found}")


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dictionaries."""
    return [{str(k): v for k, v in row.items()} for row in table.to_dict("records")]
