"""The runs of a variant, which of them diverged, and the variants that figures show."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from model.table import ResultError
from study.planning.ablation import Ablation


def is_diverged(runs: pd.DataFrame) -> "pd.Series[bool]":
    """Which runs diverged: stopped as such, or with a test NLL that is not finite."""
    return (runs["status"] == "diverged") | ~np.isfinite(runs["nll_nats"])


def finished(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that did not diverge: those that means are over."""
    return runs[~is_diverged(runs)]


def select(runs: pd.DataFrame, study: str, dataset: str, variant: str) -> pd.DataFrame:
    """The runs of one variant, by seed; raises ResultError if there are none."""
    found = runs[
        (runs["study"] == study) & (runs["dataset"] == dataset) & (runs["variant"] == variant)
    ]
    if found.empty:
        raise ResultError(
            f"the table of runs has no run of {study}: {dataset}/{variant}; train and evaluate it, "
            "then make the tables again with snakemake"
        )
    return found.sort_values("seed")


def baselines(ablations: Iterable[Ablation]) -> list[tuple[str, str]]:
    """The dataset and variant of each ablation's baselines, each once."""
    return sorted(
        {(d, names[0]) for ablation in ablations for d, names in ablation.variants.items()}
    )
