"""The table `runs`: the results of each run, and its whole config."""

import dataclasses
import types
from collections.abc import Callable, Iterator
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa

from model.config import ModelConfig, TrainConfig, descriptions
from model.table import Table, column
from study.collecting.run_result import RunResult
from study.unit import bits_per_dim

Value = Callable[[RunResult], Any]


def _nll(
    name: str, description: str, nats: Callable[[RunResult], float | None]
) -> list[tuple[pa.Field, Value]]:
    """An NLL, or an error of one, in nats and in bits per dimension.

    There is no column in the unit of each dataset: its mean over datasets would mix both.
    """

    def bits(run: RunResult) -> float | None:
        found = nats(run)
        return None if found is None else bits_per_dim(found, run.config.model.likelihood_dims)

    return [
        (column(f"{name}_nats", pa.float64(), description, "nats per image"), nats),
        (column(f"{name}_bits_per_dim", pa.float64(), description, "bits/dim"), bits),
    ]


def last_validation_nll_nats(history: pa.Table) -> float | None:
    """The last validation NLL of the averaged weights, nats per image; None without any."""
    # By NumPy, not Arrow's expressions: these take a millisecond, of each of thousands of runs.
    split, weights = history["split"].to_numpy(), history["weights"].to_numpy()
    is_valid = (split == "valid") & (weights == "ema")
    if not is_valid.any():
        return None
    steps = np.where(is_valid, history["step"].to_numpy(), -1)
    return float(history["nll_nats"].to_numpy()[np.argmax(steps)])


def _arrow_type(annotation: Any) -> pa.DataType:
    """The column type of a config field's annotation."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):  # "int | None": every column may hold nulls
        (annotation,) = (a for a in arguments if a is not types.NoneType)
        return _arrow_type(annotation)
    if origin is Literal:
        return _arrow_type(type(arguments[0]))
    if origin is tuple:
        return pa.list_(_arrow_type(arguments[0]))
    return {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}[annotation]


def _config_columns(
    config: type[Any], section: Callable[[RunResult], Any]
) -> list[tuple[pa.Field, Value]]:
    """One column per field of a config dataclass, under the field's own name."""

    def value_of(name: str) -> Value:
        return lambda run: getattr(section(run), name)

    hints, meanings = get_type_hints(config), descriptions(config)
    return [
        (column(f.name, _arrow_type(hints[f.name]), meanings[f.name]), value_of(f.name))
        for f in dataclasses.fields(config)
    ]


# fmt: off
_COLUMNS: list[tuple[pa.Field, Value]] = [
    (column("status", pa.string(), "finished or diverged"), lambda run: run.training.status),
    (column("config_hash", pa.string(), "hash of the config; equal hash, equal weights"),
     lambda run: run.training.config_hash),
    (column("definitions", pa.int64(), "version of what the numbers mean (model/definitions.py)"),
     lambda run: run.config.definitions),
    (column("unit", pa.string(), "unit in which the NLL is reported: nats (per image) or bits/dim"),
     lambda run: run.config.model.unit),
    *_nll("nll", "one-sample bound on the test NLL, mean over images",
          lambda run: run.mean("nll_nats")),
    *_nll("nll_evaluation_error",
          "standard error of the NLL over test images: of the evaluation, not of training",
          lambda run: run.standard_error("nll_nats")),
    (column("rate_nats", pa.float64(), "rate: KL of all layers, mean over test images",
            "nats per image"),
     lambda run: run.mean("rate_nats")),
    (column("distortion_nats", pa.float64(), "distortion, mean over test images",
            "nats per image"),
     lambda run: run.mean("distortion_nats")),
    *_nll("iw_nll", "importance-weighted bound on the test NLL, mean over images",
          lambda run: run.mean("iw_nll_nats")),
    (column("importance_samples", pa.int64(), "samples K of the importance-weighted bound"),
     lambda run: int(run.about("test", "importance_samples"))),
    (column("num_images", pa.int64(), "test images that the means are over"),
     lambda run: run.table("test").num_rows),
    (column("dataset_version", pa.string(), "version of the dataset that was evaluated"),
     lambda run: run.about("test", "dataset_version")),
    (column("dataset_sha256", pa.string(), "digest of the dataset's arrays"),
     lambda run: run.training.dataset_sha256),
    (column("likelihood_dims", pa.int64(), "pixel values per image that the likelihood covers"),
     lambda run: run.config.model.likelihood_dims),
    *_nll("valid_nll", "last validation NLL of the averaged weights",
          lambda run: last_validation_nll_nats(run.table("history"))),
    (column("num_parameters", pa.int64(), "trainable scalars"),
     lambda run: run.training.num_parameters),
    (column("stochastic_depth", pa.int64(), "stochastic layers: applied top-down blocks"),
     lambda run: run.config.model.stochastic_depth),
    (column("num_latents", pa.int64(), "scalar latent variables per image"),
     lambda run: run.config.model.num_latents),
    (column("iterations_done", pa.int64(), "batches seen; below iterations if diverged"),
     lambda run: run.training.step),
    (column("skipped_updates", pa.int64(), "updates skipped for their gradient norm or loss"),
     lambda run: run.training.skipped_updates),
    (column("nonfinite_losses", pa.int64(), "batches whose loss was not finite"),
     lambda run: run.training.nonfinite_losses),
    *_config_columns(ModelConfig, lambda run: run.config.model),
    *_config_columns(TrainConfig, lambda run: run.config.train),
]
# fmt: on

TABLE = Table(
    name="runs",
    row="run",
    note="Results, then every field of the run's config (`ModelConfig` and `TrainConfig` in "
    "`model/config.py`) under its own name.",
    columns=[field for field, _ in _COLUMNS],
)


def rows(run: RunResult) -> Iterator[dict[str, Any]]:
    """The row of one run."""
    yield {field.name: value(run) for field, value in _COLUMNS}
