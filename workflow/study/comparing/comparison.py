"""The comparison that an ablation makes: statistics over seeds, beside what the paper published."""

from math import nan
from typing import Any

import pandas as pd

from model.table import ResultError
from study.comparing.code import joined
from study.comparing.published import published_rows
from study.comparing.selection import finished, select
from study.comparing.statistics import evaluation_error, mean_and_interval
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.unit import column_in_unit, in_unit

Row = dict[str, Any]

USED_RATE_NATS = 1.0  # below this rate no latent says anything of the image
# Equal for all seeds of a variant; the first six for all variants that are compared.
SHARED = (
    "definitions",
    "unit",
    "dataset_version",
    "dataset_sha256",
    "num_images",
    "likelihood_dims",
    "num_parameters",
    "stochastic_depth",
    "num_latents",
    "importance_samples",
)
_CODE = ("training_code_digest", "evaluation_code_digest")
COMPARABLE = SHARED[:6]


def compare(ablation: Ablation, results: StudyResults, *, is_partial: bool = False) -> list[Row]:
    """One row per dataset and variant, then the paper's rows that no variant of ours has.

    Means are over finished seeds.  Raises ResultError for a variant without any run, unless the
    table is partial: then it is a row of origin `missing`.
    """
    runs, timings = results.tables["runs"], results.tables["timings"]
    rows: list[Row] = []
    for dataset, variants in ablation.variants.items():
        of_study = runs[(runs["study"] == ablation.study) & (runs["dataset"] == dataset)]
        present = set(of_study["variant"])
        _check_comparable(dataset, of_study[of_study["variant"].isin(variants)])
        trained = {
            variant: _trained(ablation, results, of_study, dataset, variant)
            for variant in variants
            if variant in present or not is_partial
        }
        versions = {row["dataset_version"] for row in trained.values()}
        rows += [trained.get(v) or _missing(ablation, dataset, v) for v in variants]
        rows += _of_the_paper_only(ablation, dataset, min(versions, default=""))
    of_variants = timings.groupby(["study", "dataset", "variant"])
    hours = of_variants["gpu_hours"].mean()
    codes = {name: of_variants[name].agg(joined) for name in _CODE}
    for row in rows:
        key = (row["study"], row["dataset"], row["variant"])
        row["gpu_hours_mean"] = hours.get(key, nan)
        row |= {name: code.get(key) for name, code in codes.items()}
    return rows


def _trained(
    ablation: Ablation, results: StudyResults, of_study: pd.DataFrame, dataset: str, variant: str
) -> Row:
    runs = select(of_study, ablation.study, dataset, variant)
    baseline = ablation.variants[dataset][0]
    shared: Row = {name: _shared_value(runs, name, f"{dataset}/{variant}") for name in SHARED}
    of_mean = finished(runs)
    nll = column_in_unit(of_mean, "nll").set_axis(of_mean["seed"])
    others = finished(of_study[of_study["variant"] == baseline])
    differences = (nll - column_in_unit(others, "nll").set_axis(others["seed"])).dropna()
    if variant == baseline:
        differences = differences.iloc[:0]

    def of_images(name: str, seed: int) -> Any:
        return results.test_nll_nats(dataset, name, seed)

    per_image = [of_images(variant, seed) for seed in nll.index]
    pairs = [of_images(variant, s) - of_images(baseline, s) for s in differences.index]
    errors = {
        "nll_evaluation_error": evaluation_error(per_image),
        "nll_difference_evaluation_error": evaluation_error(pairs),
    }
    difference = mean_and_interval("nll_difference", differences)
    in_paper = _in_paper(ablation, dataset, variant, shared["dataset_version"])
    is_comparable = in_paper["published_is_comparable"]
    return {
        **_identity(ablation, dataset, variant),
        "origin": "trained",
        "num_seeds": len(of_mean),
        "num_diverged": len(runs) - len(of_mean),
        **mean_and_interval("nll", nll),
        **{k: in_unit(v, shared["unit"], shared["likelihood_dims"]) for k, v in errors.items()},
        **difference,
        "nll_difference_is_decided": _is_decided(difference),
        "num_pairs": len(differences),
        **mean_and_interval("iw_nll", column_in_unit(of_mean, "iw_nll")),
        **mean_and_interval("rate_nats", of_mean["rate_nats"]),
        "rate_share": of_mean["rate_nats"].mean() / of_mean["nll_nats"].mean(),
        "has_unused_latents": bool(of_mean["rate_nats"].mean() < USED_RATE_NATS),
        **shared,
        **in_paper,
        "nll_minus_published": nll.mean() - in_paper["published_nll"] if is_comparable else nan,
    }


def _is_decided(difference: dict[str, Any]) -> bool | None:
    """Whether the 95 % interval over seeds leaves out 0; None without an interval."""
    half_width = difference["nll_difference_interval_95"]
    return (
        None if pd.isna(half_width) else bool(abs(difference["nll_difference_mean"]) > half_width)
    )


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
    with_number = rows[rows["nll"].notna()].to_dict("records")
    return [{str(name): value for name, value in row.items()} for row in with_number]


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


def _check_comparable(dataset: str, runs: pd.DataFrame) -> None:
    """Numbers that mean different things do not stand in one column."""
    for name in COMPARABLE:
        values = dict(zip(runs[name], runs["variant"], strict=True))
        if len(values) > 1 and len(set(values.values())) > 1:
            found = ", ".join(f"{variant} {value}" for value, variant in values.items())
            raise ResultError(
                f"{dataset}: variants of different {name} are not compared: {found}; the same "
                "snakemake command trains again what was trained on other data"
            )
