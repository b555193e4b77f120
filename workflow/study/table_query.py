"""Filters, order and columns of a table, as typed: `--where dataset=mnist --sort nll`."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from model.table import ResultError
from model.validation import nearest
from study.unit import column_in_unit

_CONDITION = re.compile(r"\s*([\w-]+)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*")
_COMPARE = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


def filtered(frame: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """The rows that meet all conditions: `variant=x1,x2`, `nll<80`; raises ResultError."""
    for condition in conditions:
        found = _CONDITION.fullmatch(condition)
        if found is None:
            raise ResultError(
                f"{condition!r} is no condition: write COLUMN=VALUE, or another of != < <= > >="
            )
        name, operator, text = found.groups()
        frame = frame[_meets(values_of(frame, name), operator, text, condition)]
    return frame


def ordered(frame: pd.DataFrame, names: Sequence[str], *, reverse: bool) -> pd.DataFrame:
    """The rows in the order of columns; empty cells come last."""
    keys = [values_of(frame, name) for name in names]
    by = pd.concat(keys, axis=1, keys=range(len(keys)))
    order = by.sort_values(list(by.columns), ascending=not reverse, kind="stable").index
    return frame.loc[order]


def chosen(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Some columns."""
    return pd.concat([values_of(frame, name) for name in names], axis=1, keys=names)


def values_of(frame: pd.DataFrame, name: str) -> "pd.Series[Any]":
    """A column, or an NLL such as `nll` in each row's own unit; raises ResultError."""
    if name in frame:
        return frame[name]
    if {"unit", f"{name}_nats", f"{name}_bits_per_dim"} <= set(frame):
        return column_in_unit(frame, name)
    columns = [str(column) for column in frame.columns]
    of_units = [column.removesuffix("_nats") for column in columns if column.endswith("_nats")]
    raise ResultError(
        f"no column {name!r}{nearest(name, [*columns, *of_units])}; there are {', '.join(columns)}"
    )


def _meets(values: "pd.Series[Any]", operator: str, text: str, condition: str) -> Any:
    is_number = pd.api.types.is_numeric_dtype(values) and values.dtype != bool
    if operator in _COMPARE:
        if not is_number:
            raise ResultError(f"{condition!r}: the column holds no numbers: use = or !=")
        return getattr(values, _COMPARE[operator])(_number(text, condition))
    wanted = text.split(",")
    if is_number:
        meets = values.isin([_number(part, condition) for part in wanted])
    else:
        meets = values.astype(str).str.lower().isin([part.strip().lower() for part in wanted])
    return ~meets if operator == "!=" else meets


def _number(text: str, condition: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ResultError(f"{condition!r}: {text!r} is no number, and the column's are") from None
