"""From run directories to the typed tables of a study: runs, timings, rates, history.

Everything that depends on when and where a run was executed is in `timings`, so that the other
tables of two executions of one study compare byte for byte.
"""

import dataclasses
import json
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from model.config import ModelConfig, RunConfig, TrainConfig
from model.files import atomic_write

if TYPE_CHECKING:  # it takes long to import, and collecting runs does without
    import pandas as pd


class ResultError(ValueError):
    """A result file that is missing, or that does not fit the others; its text is one line."""


def column(name: str, arrow_type: pa.DataType, description: str) -> pa.Field:
    """A column whose description is stored in the parquet file."""
    return pa.field(name, arrow_type, metadata={"description": description})


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


def _config_columns(config: type) -> list[pa.Field]:
    """One column per field of a config dataclass, under the field's own name."""
    hints = get_type_hints(config)
    return [
        column(f.name, _arrow_type(hints[f.name]), f"{config.__name__}.{f.name} in model/config.py")
        for f in dataclasses.fields(config)
    ]


IDENTITY = [
    column("study", pa.string(), "study that the run belongs to"),
    column("dataset", pa.string(), "dataset"),
    column("variant", pa.string(), "variant: a named set of differences from the base model"),
    column("seed", pa.int64(), "seed of the run"),
]
RUNS = pa.schema(
    [
        *IDENTITY,
        column("status", pa.string(), "finished or diverged"),
        column("config_hash", pa.string(), "hash of the config; equal hash, equal weights"),
        column("nll", pa.float64(), "one-sample bound on the test NLL, mean, in the run's unit"),
        column("unit", pa.string(), "nats (per image) or bits/dim: unit of nll, iw_nll, valid_nll"),
        column("nll_nats", pa.float64(), "one-sample bound on the test NLL, nats per image"),
        column("nll_bits_per_dim", pa.float64(), "one-sample bound on the test NLL, bits/dim"),
        column("rate_nats", pa.float64(), "rate (KL of all layers), nats per test image"),
        column("distortion_nats", pa.float64(), "distortion, nats per test image"),
        column("iw_nll", pa.float64(), "importance-weighted bound on the test NLL, in unit"),
        column("iw_nll_nats", pa.float64(), "importance-weighted bound, nats per image"),
        column("iw_nll_bits_per_dim", pa.float64(), "importance-weighted bound, bits/dim"),
        column("importance_samples", pa.int64(), "samples K of the importance-weighted bound"),
        column("num_images", pa.int64(), "test images that the means are over"),
        column("split", pa.string(), "split that was evaluated"),
        column("dataset_version", pa.string(), "version of the dataset that was evaluated"),
        column("likelihood_dims", pa.int64(), "pixel values per image that the likelihood scores"),
        column("weights", pa.string(), "weights that were evaluated: ema or raw"),
        column("valid_nll", pa.float64(), "last validation NLL of the EMA weights, in unit"),
        column("valid_nll_nats", pa.float64(), "last validation NLL, nats per image"),
        column("valid_nll_bits_per_dim", pa.float64(), "last validation NLL, bits/dim"),
        column("num_parameters", pa.int64(), "trainable scalars"),
        column("stochastic_depth", pa.int64(), "stochastic layers: applied top-down blocks"),
        column("num_latents", pa.int64(), "scalar latent variables per image"),
        column("iterations_done", pa.int64(), "batches seen; below iterations if diverged"),
        column("skipped_updates", pa.int64(), "updates skipped for their gradient norm or loss"),
        column("nonfinite_losses", pa.int64(), "batches whose loss was not finite"),
        *_config_columns(ModelConfig),
        *_config_columns(TrainConfig),
    ]
)
TIMINGS = pa.schema(
    [
        *IDENTITY,
        column("started", pa.timestamp("us", tz="UTC"), "start of the training"),
        column("wall_seconds", pa.float64(), "time spent training, seconds, over all resumes"),
        column("gpu_hours", pa.float64(), "GPUs x hours; 0 on a CPU"),
        column("peak_memory_bytes", pa.int64(), "peak memory of the GPU, or of the process"),
        column("resumes", pa.int64(), "how often the training was stopped and resumed"),
        column("device", pa.string(), "GPU, or CPU, that the run was trained on"),
        column("host", pa.string(), "machine that the run was trained on"),
        column("threads", pa.int64(), "CPU threads of PyTorch"),
        column("git_commit", pa.string(), "commit of the code; null outside a repository"),
        column("git_dirty", pa.bool_(), "whether tracked files differed from that commit"),
        column("python_version", pa.string(), "version of Python"),
        column("torch_version", pa.string(), "version of PyTorch"),
        column("numpy_version", pa.string(), "version of NumPy"),
        column("cuda_version", pa.string(), "version of CUDA; null on a CPU"),
    ]
)
RATES = pa.schema(
    [
        *IDENTITY,
        column("layer", pa.int64(), "stochastic layer, from 0, in the order of the top-down pass"),
        column("resolution", pa.int64(), "height = width of the layer, pixels"),
        column("repeat", pa.int64(), "which application of its block the layer is, from 0"),
        column("rate_nats", pa.float64(), "rate of the layer, nats per test image, mean"),
        column(
            "rate_nats_standard_deviation",
            pa.float64(),
            "standard deviation of the layer's rate over the test images (ddof 1), nats",
        ),
    ]
)
_HISTORY = [
    column("step", pa.int64(), "iteration: batches seen so far"),
    column("split", pa.string(), "train or valid"),
    column("weights", pa.string(), "weights that were measured: raw or ema"),
    column("nll_nats", pa.float64(), "NLL, nats per image"),
    column("rate_nats", pa.float64(), "rate, nats per image"),
    column("distortion_nats", pa.float64(), "distortion, nats per image"),
    column("gradient_norm", pa.float64(), "norm of the gradient before clipping; NaN for valid"),
    column("learning_rate", pa.float64(), "learning rate of the step"),
    column("skipped_updates", pa.int64(), "updates skipped so far"),
]
HISTORY = pa.schema([*IDENTITY, *_HISTORY])


@dataclass(frozen=True)
class Run:
    """What one run directory holds."""

    config: RunConfig
    training: Mapping[str, Any]  # train.json
    history: pa.Table
    test: pa.Table  # one row per test image
    evaluation: Mapping[str, str]  # key-value metadata of test.parquet


UNIT_LABEL = {"nats": "nats per image", "bits/dim": "bits per dimension"}


def bits_per_dim(nats: float, likelihood_dims: int) -> float:
    """Nats per image as bits per scored dimension."""
    return nats / (likelihood_dims * log(2))


def in_unit(nats: float, unit: str, likelihood_dims: int) -> float:
    """Nats per image in the unit "nats" or "bits/dim"."""
    return nats if unit == "nats" else bits_per_dim(nats, likelihood_dims)


def read_run(directory: Path) -> Run:
    """Read a run directory; raises ResultError if its files are not of one and the same config."""
    config = RunConfig.load(_existing(directory / "config.yaml"))
    if directory.parts[-3:] != (config.dataset, config.variant, f"seed{config.seed}"):
        raise ResultError(
            f"{directory}: its config.yaml is of {config.dataset}/{config.variant}/"
            f"seed{config.seed}; the path and the config of a run must name the same run"
        )
    training = _read_json(directory / "train.json")
    test = pq.read_table(_existing(directory / "test.parquet"))
    evaluation = {k.decode(): v.decode() for k, v in (test.schema.metadata or {}).items()}
    run = Run(
        config=config,
        training=training,
        history=_read_history(directory / "history.parquet"),
        test=test,
        evaluation=evaluation,
    )
    _check(directory, run)
    return run


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ResultError(f"{path} is missing: train and evaluate this run first")
    return path


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(_existing(path).read_text())
    except json.JSONDecodeError as error:
        raise ResultError(f"{path}: {error}") from None
    return content


def _read_history(path: Path) -> pa.Table:
    history = pq.read_table(_existing(path))
    missing = {f.name for f in _HISTORY} - set(history.column_names)
    if missing:
        raise ResultError(f"{path}: column {min(missing)} is missing")
    return history.select([f.name for f in _HISTORY]).cast(pa.schema(_HISTORY))


def _check(directory: Path, run: Run) -> None:
    expected = {
        "train.json": (run.training, {"config_hash": run.config.hash}),
        "test.parquet": (
            run.evaluation,
            {
                "config_hash": run.config.hash,
                "num_images": str(run.test.num_rows),
                "likelihood_dims": str(run.config.model.likelihood_dims),
            },
        ),
    }
    for name, (content, wanted) in expected.items():
        for key, value in wanted.items():
            if content.get(key) != value:
                raise ResultError(
                    f"{directory / name}: {key} is {content.get(key)}, but the run has {value}; "
                    "train and evaluate this run again"
                )


def _identity(study: str, run: Run) -> dict[str, Any]:
    config = run.config
    return {
        "study": study,
        "dataset": config.dataset,
        "variant": config.variant,
        "seed": config.seed,
    }


def run_row(study: str, run: Run) -> dict[str, Any]:
    """The row of one run in runs.parquet: its results, and every field of its config."""
    model, training, evaluation = run.config.model, run.training, run.evaluation
    nll_nats, iw_nll_nats = _mean(run.test, "nll_nats"), _mean(run.test, "iw_nll_nats")
    return {
        **_identity(study, run),
        "status": training["status"],
        "config_hash": run.config.hash,
        "unit": model.unit,
        **_in_all_units("nll", nll_nats, model),
        "rate_nats": _mean(run.test, "rate_nats"),
        "distortion_nats": _mean(run.test, "distortion_nats"),
        **_in_all_units("iw_nll", iw_nll_nats, model),
        "importance_samples": int(evaluation["importance_samples"]),
        "num_images": run.test.num_rows,
        "split": evaluation["split"],
        "dataset_version": evaluation["dataset_version"],
        "likelihood_dims": model.likelihood_dims,
        "weights": evaluation["weights"],
        **_in_all_units("valid_nll", last_validation_nll_nats(run.history), model),
        "num_parameters": training["num_parameters"],
        "stochastic_depth": model.stochastic_depth,
        "num_latents": model.num_latents,
        "iterations_done": training["step"],
        "skipped_updates": training["skipped_updates"],
        "nonfinite_losses": training["nonfinite_losses"],
        **{f.name: getattr(model, f.name) for f in dataclasses.fields(model)},
        **{f.name: getattr(run.config.train, f.name) for f in dataclasses.fields(TrainConfig)},
    }


def _mean(table: pa.Table, name: str) -> float:
    return float(np.mean(table[name].to_numpy()))


def _in_all_units(name: str, nats: float | None, model: ModelConfig) -> dict[str, float | None]:
    if nats is None:
        return dict.fromkeys([name, f"{name}_nats", f"{name}_bits_per_dim"])
    return {
        name: in_unit(nats, model.unit, model.likelihood_dims),
        f"{name}_nats": nats,
        f"{name}_bits_per_dim": bits_per_dim(nats, model.likelihood_dims),
    }


def last_validation_nll_nats(history: pa.Table) -> float | None:
    """The last validation NLL of the EMA weights, nats per image; None without any."""
    valid = history.filter((pc.field("split") == "valid") & (pc.field("weights") == "ema"))
    if valid.num_rows == 0:
        return None
    steps = valid["step"].to_numpy()
    return float(valid["nll_nats"].to_numpy()[np.argmax(steps)])


def timing_row(study: str, run: Run) -> dict[str, Any]:
    """The row of one run in timings.parquet: time, memory, machine and versions."""
    training = run.training
    same_names = [
        "wall_seconds",
        "gpu_hours",
        "peak_memory_bytes",
        "resumes",
        "device",
        "host",
        "threads",
        "git_commit",
        "git_dirty",
    ]
    return {
        **_identity(study, run),
        "started": datetime.fromisoformat(training["started"]).astimezone(UTC),
        **{name: training[name] for name in same_names},
        **{f"{k}_version": training["versions"][k] for k in ("python", "torch", "numpy", "cuda")},
    }


def rate_rows(study: str, run: Run) -> list[dict[str, Any]]:
    """The rows of one run in rates.parquet: the rate of each stochastic layer over the images."""
    rates = _rate_per_layer_nats(run)  # [images, layers]
    mean = rates.mean(axis=0)
    # The deviation of a single image is unknown, not 0.
    deviation = rates.std(axis=0, ddof=1) if len(rates) > 1 else np.full_like(mean, np.nan)
    layers = [(b.resolution, r) for b in run.config.model.top_down for r in range(b.repeats)]
    return [
        {
            **_identity(study, run),
            "layer": layer,
            "resolution": resolution,
            "repeat": repeat,
            "rate_nats": mean[layer],
            "rate_nats_standard_deviation": deviation[layer],
        }
        for layer, (resolution, repeat) in enumerate(layers)
    ]


def _rate_per_layer_nats(run: Run) -> np.ndarray[Any, np.dtype[np.float64]]:
    lists = run.test["rate_per_layer_nats"]
    depth = run.config.model.stochastic_depth
    if not pc.all(pc.equal(pc.list_value_length(lists), depth)).as_py():
        raise ResultError(
            f"{run.config.dataset}/{run.config.variant}/seed{run.config.seed}: test.parquet has "
            f"rates of another number of layers than the stochastic depth {depth}; evaluate again"
        )
    flat = np.asarray(pc.list_flatten(lists).to_numpy(), dtype=np.float64)
    return flat.reshape(run.test.num_rows, depth)


def _history_table(study: str, run: Run) -> pa.Table:
    identity = [
        pa.repeat(pa.scalar(value, HISTORY.field(name).type), run.history.num_rows)
        for name, value in _identity(study, run).items()
    ]
    return pa.Table.from_arrays([*identity, *run.history.columns], schema=HISTORY)


def collect(study: str, directories: Iterable[Path]) -> dict[str, pa.Table]:
    """The tables runs, timings, rates and history of a study, ordered by dataset, variant, seed."""
    summaries = [_summarise(study, directory) for directory in {d.absolute() for d in directories}]
    summaries.sort(key=lambda s: (s.run["dataset"], s.run["variant"], s.run["seed"]))
    for before, after in pairwise(summaries):
        if all(before.run[f.name] == after.run[f.name] for f in IDENTITY):
            raise ResultError(f"{after.directory} and {before.directory} hold the same run")
    return {
        "runs": _table([s.run for s in summaries], RUNS),
        "timings": _table([s.timing for s in summaries], TIMINGS),
        "rates": _table([row for s in summaries for row in s.rates], RATES),
        "history": pa.concat_tables([HISTORY.empty_table(), *(s.history for s in summaries)]),
    }


@dataclass(frozen=True)
class _Summary:
    """What the tables take from one run, so that no run's images stay in memory."""

    directory: Path
    run: dict[str, Any]
    timing: dict[str, Any]
    rates: list[dict[str, Any]]
    history: pa.Table


def _summarise(study: str, directory: Path) -> _Summary:
    try:
        run = read_run(directory)
        return _Summary(
            directory=directory,
            run=run_row(study, run),
            timing=timing_row(study, run),
            rates=rate_rows(study, run),
            history=_history_table(study, run),
        )
    except KeyError as error:
        raise ResultError(f"{directory}: {error} is missing; train and evaluate again") from None
    except pa.ArrowException as error:
        raise ResultError(f"{directory}: {str(error).splitlines()[0]}") from None


def _table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    # from_pylist would fill a forgotten column with nulls and drop an unknown one.
    for row in rows:
        assert set(row) == set(schema.names), set(row) ^ set(schema.names)
    return pa.Table.from_pylist(list(rows), schema=schema)


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table atomically; equal tables give equal bytes."""
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def write_frame(frame: "pd.DataFrame", schema: pa.Schema, path: Path) -> None:
    """Write a data frame under a schema, without pandas' own metadata: it holds pandas' version."""
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    write_parquet(table.replace_schema_metadata(None), path)


def read_parquet(path: Path) -> pa.Table:
    """Read a table that `study runs` has written."""
    if not path.is_file():
        raise ResultError(f"{path} is missing: write it with `python -m study runs`")
    return pq.read_table(path)
