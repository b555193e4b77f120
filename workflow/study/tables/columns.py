"""Columns that several tables have."""

import pyarrow as pa

from model.table import column


def mean_columns(name: str, description: str, unit: str) -> list[pa.Field]:
    """A mean over seeds, its standard error, and half of its 95 % interval."""
    return [
        column(f"{name}_mean", pa.float64(), f"{description}, mean over seeds", unit),
        column(f"{name}_standard_error", pa.float64(), "its standard error over seeds", unit),
        column(f"{name}_interval_95", pa.float64(), "half its 95 % interval (Student's t)", unit),
    ]
