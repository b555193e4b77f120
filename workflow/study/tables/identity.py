"""The identity of a run: the columns that every table of runs begins with."""

import pyarrow as pa

from model.run_config import RunConfig
from model.table import column

IDENTITY = [
    column("study", pa.string(), "study that the run belongs to"),
    column("dataset", pa.string(), "dataset"),
    column("variant", pa.string(), "variant: a named set of differences from the base model"),
    column("seed", pa.int64(), "seed of the run"),
]
NAMES = [field.name for field in IDENTITY]


def with_identity(rows: pa.Table, study: str, run: RunConfig) -> pa.Table:
    """A run's rows, with its identity before their columns."""
    values = (study, run.dataset, run.variant, run.seed)
    columns = [
        pa.repeat(pa.scalar(value, field.type), rows.num_rows)
        for field, value in zip(IDENTITY, values, strict=True)
    ]
    schema = pa.schema([*IDENTITY, *rows.schema], metadata=rows.schema.metadata)
    return pa.Table.from_arrays([*columns, *rows.columns], schema=schema)
