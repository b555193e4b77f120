"""The table `rates`: the rate of each stochastic layer."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from model.table import ResultError, Table, column
from study.collecting.run_result import RunResult

TABLE = Table(
    name="rates",
    row="run and stochastic layer",
    columns=[
        column("layer", pa.int64(), "stochastic layer, from 0, in the order of the top-down pass"),
        column("resolution", pa.int64(), "height = width of the layer", "pixels"),
        column("repeat", pa.int64(), "which application of its block the layer is, from 0"),
        column("rate_nats", pa.float64(), "rate of the layer, mean over test images", "nats"),
        column(
            "rate_nats_standard_deviation",
            pa.float64(),
            "standard deviation of the layer's rate over the test images (ddof 1)",
            "nats",
        ),
    ],
)


def rows(run: RunResult) -> Iterator[dict[str, Any]]:
    """One row per stochastic layer."""
    rates = _rate_per_layer_nats(run)  # [images, layers]
    mean = rates.mean(axis=0)
    # The deviation of a single image is unknown, not 0.
    deviation = rates.std(axis=0, ddof=1) if len(rates) > 1 else np.full_like(mean, np.nan)
    layers = [(b.resolution, r) for b in run.config.model.top_down for r in range(b.repeats)]
    for layer, (resolution, repeat) in enumerate(layers):
        yield {
            "layer": layer,
            "resolution": resolution,
            "repeat": repeat,
            "rate_nats": mean[layer],
            "rate_nats_standard_deviation": deviation[layer],
        }


def _rate_per_layer_nats(run: RunResult) -> np.ndarray[Any, np.dtype[np.float64]]:
    lists = run.table("test")["rate_per_layer_nats"]
    depth = run.config.model.stochastic_depth
    if not pc.all(pc.equal(pc.list_value_length(lists), depth)).as_py():
        raise ResultError(
            f"{run.directory}/test.parquet has rates of another number of layers than the "
            f"stochastic depth {depth}; evaluate this run again"
        )
    flat = np.asarray(pc.list_flatten(lists).to_numpy(), dtype=np.float64)
    return flat.reshape(len(lists), depth)
