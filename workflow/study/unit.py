"""The unit of an NLL: nats per image, or bits per dimension."""

from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

UNIT_LABEL = {"nats": "nats per image", "bits/dim": "bits per dimension"}


def bits_per_dim(nats: float, likelihood_dims: int) -> float:
    """Nats per image as bits per dimension that the likelihood covers."""
    return nats / (likelihood_dims * log(2))


def in_unit(nats: float, unit: str, likelihood_dims: int) -> float:
    """Nats per image in the unit "nats" or "bits/dim"."""
    return nats if unit == "nats" else bits_per_dim(nats, likelihood_dims)


def column_in_unit(runs: "pd.DataFrame", name: str) -> "pd.Series[float]":
    """An NLL of runs, such as `iw_nll`, each in its own unit; of one dataset, or do not average."""
    return runs[f"{name}_nats"].where(runs["unit"] == "nats", runs[f"{name}_bits_per_dim"])
