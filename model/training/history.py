"""The learning curve of a run: means over training batches, and validations."""

from collections.abc import Sequence
from math import log
from typing import Any, Literal

import pyarrow as pa
import torch
from torch import Tensor

from model.config import RunConfig
from model.network.generative_model import Bound
from model.table import Table, column

TABLE = Table(
    name="history",
    row="step and split",
    columns=[
        column("step", pa.int64(), "batches seen so far", "iterations"),
        column("split", pa.string(), "train (mean since the row before) or valid"),
        column("weights", pa.string(), "weights that were measured: raw or ema"),
        column("nll_nats", pa.float64(), "one-sample bound on the NLL", "nats per image"),
        column("rate_nats", pa.float64(), "rate", "nats per image"),
        column("distortion_nats", pa.float64(), "distortion", "nats per image"),
        column("gradient_norm", pa.float64(), "gradient's norm before clipping; null for valid"),
        column("learning_rate", pa.float64(), "learning rate of the step; null for valid"),
        column("skipped_updates", pa.int64(), "updates skipped so far"),
    ],
)


def sums(bound: Bound) -> Tensor:
    """The sums over a batch of its NLL, rate and distortion in nats [3], without gradients."""
    return torch.stack(
        [bound.nll_nats.sum(), bound.rate_nats.sum(), bound.distortion_nats.sum()]
    ).detach()


def row(
    *,
    step: int,
    split: Literal["train", "valid"],
    weights: Literal["raw", "ema"],
    means: Sequence[float],
    skipped_updates: int,
    gradient_norm: float | None = None,
    learning_rate: float | None = None,
) -> dict[str, Any]:
    """A row of the table; `means` are the NLL, rate and distortion in nats per image."""
    nll, rate, distortion = means
    return {
        "step": step,
        "split": split,
        "weights": weights,
        "nll_nats": nll,
        "rate_nats": rate,
        "distortion_nats": distortion,
        "gradient_norm": gradient_norm,
        "learning_rate": learning_rate,
        "skipped_updates": skipped_updates,
    }


def line(row: dict[str, Any], run: RunConfig) -> str:
    """The row as a line of the log, the NLL in the unit of the dataset's tables."""
    model, nats = run.model, row["nll_nats"]
    nll = nats if model.unit == "nats" else nats / (model.likelihood_dims * log(2))
    return (
        f"step {row['step']}/{run.train.iterations}  {row['split']} {row['weights']}  "
        f"NLL {nll:.4g} {model.unit} (rate {row['rate_nats']:.3f}, "
        f"distortion {row['distortion_nats']:.3f} nats)  skipped {row['skipped_updates']}"
    )
