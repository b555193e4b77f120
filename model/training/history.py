"""The learning curve of a run: means over training batches, and validations."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from model.config import ModelConfig, TrainConfig
from model.network.generative_model import Bound
from model.run_config import RunConfig
from model.table import Table, column
from model.training.warmup import learning_rate_at
from model.wording import nll_text

TABLE = Table(
    name="history",
    row="step and split",
    columns=[
        column("step", pa.int64(), "batches seen so far", "iterations"),
        column("split", pa.string(), "train (mean over the last log_every steps) or valid"),
        column("weights", pa.string(), "weights that were measured: raw or ema"),
        column("nll_nats", pa.float64(), "one-sample bound on the NLL", "nats per image"),
        column("rate_nats", pa.float64(), "rate", "nats per image"),
        column("distortion_nats", pa.float64(), "distortion", "nats per image"),
        column("gradient_norm", pa.float64(), "gradient's norm before clipping; null for valid"),
        column("learning_rate", pa.float64(), "learning rate of the step; null for valid"),
        column("skipped_updates", pa.int64(), "updates skipped so far"),
    ],
)

Row = dict[str, Any]
Means = Sequence[float]  # NLL, rate and distortion in nats per image


def sums(bound: Bound) -> Tensor:
    """The sums over a batch of its NLL, rate and distortion in nats [3], without gradients."""
    return torch.stack(
        [bound.nll_nats.sum(), bound.rate_nats.sum(), bound.distortion_nats.sum()]
    ).detach()


@dataclass
class Curve:
    """What a learning curve is made of: every step, and the validations.

    Rows are made of it when they are needed, so that `log_every` may change on the way, and a
    training that was lengthened has the rows of one that had this length from the start.
    """

    # Five numbers a step: NLL, rate, distortion, gradient norm, 1 for a skipped update.
    steps: "array[float]" = field(default_factory=lambda: array("d"))
    validations: list[Row] = field(default_factory=list)

    def add_steps(self, rows: Iterable[Sequence[float]]) -> None:
        """Record batches, five numbers each."""
        for row in rows:
            self.steps.extend(row)

    def add_validation(
        self, step: int, weights: Literal["raw", "ema"], means: Means, skipped_updates: int
    ) -> Row:
        """Record a validation after a step; its row."""
        row = _row(step, "valid", weights, means, skipped_updates)
        self.validations.append(row)
        return row

    def last_row(self, config: TrainConfig, num_steps: int | None = None) -> Row:
        """The row of the last `log_every` steps, or of this many; no more than there are."""
        numbers = self._numbers()
        length = min(num_steps or config.log_every, len(numbers))
        return _training_row(numbers, len(numbers), int(numbers[:, 4].sum()), config, length)

    def rows(self, config: TrainConfig) -> list[Row]:
        """The rows of the table, at the intervals that the config says, and at the end."""
        numbers = self._numbers()
        last, skipped = len(numbers), numbers[:, 4].cumsum()
        training = [
            _training_row(numbers, step, int(skipped[step - 1]), config, config.log_every)
            for step in range(config.log_every, last + 1, config.log_every)
        ]
        validations = [
            row
            for row in self.validations
            if row["step"] % config.validate_every == 0 or row["step"] == last
        ]
        return sorted([*training, *validations], key=lambda row: row["step"])  # stable

    def state(self) -> dict[str, Any]:
        """What `of_state` needs."""
        steps = torch.from_numpy(self._numbers().copy())
        return {"steps": steps, "validations": list(self.validations)}

    @classmethod
    def of_state(cls, state: dict[str, Any]) -> "Curve":
        """The curve whose `state()` this is."""
        steps = array("d", state["steps"].numpy().tobytes())
        return cls(steps, list(state["validations"]))

    def _numbers(self) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        # An array from which NumPy has a view cannot grow: views end with the call they are for.
        numbers = np.frombuffer(self.steps) if self.steps else np.empty(0)
        return numbers.reshape(-1, 5)


def _training_row(
    numbers: Any, step: int, skipped_updates: int, config: TrainConfig, num_steps: int
) -> Row:
    *means, gradient_norm, _ = numbers[step - num_steps : step].mean(axis=0).tolist()
    rate = learning_rate_at(step - 1, config)
    return _row(step, "train", "raw", means, skipped_updates, gradient_norm, rate)


def _row(
    step: int,
    split: Literal["train", "valid"],
    weights: Literal["raw", "ema"],
    means: Means,
    skipped_updates: int,
    gradient_norm: float | None = None,
    learning_rate: float | None = None,
) -> Row:
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


def nll_in_unit(row: Row, model: ModelConfig) -> float:
    """The NLL in the unit of the dataset's tables."""
    nats: float = row["nll_nats"]
    return nats if model.unit == "nats" else nats / (model.likelihood_dims * log(2))


def line(row: Row, run: RunConfig) -> str:
    """The row as a line of the log, the NLL in the unit of the dataset's tables."""
    return (
        f"step {row['step']}/{run.train.iterations}  {row['split']} {row['weights']}  "
        f"NLL {nll_text(nll_in_unit(row, run.model))} {run.model.unit} "
        f"(rate {row['rate_nats']:.3f}, "
        f"distortion {row['distortion_nats']:.3f} nats)  skipped {row['skipped_updates']}"
    )
