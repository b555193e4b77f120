"""The learning curve of a run: means over training batches, and validations."""

import pyarrow as pa

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
