"""Filters, order and columns of a table, as typed: `--where dataset=mnist --sort nll`."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from model.table import ResultError
from model.validation import nearest
from study.unit import column_in_unit

_CONDITION = re.compile(r"\s*(.+?)\s*(!=|<=|>=|=|<|>)\s*(.*?)\s*")
# What tables for reading call columns: those of runs, or of an ablation.
_HEADINGS = {
    "depth": ("stochastic_depth",),
    "difference": ("nll_difference_mean",),
    "evaluation error": ("nll_evaluation_error",),
    "gpu hours": ("gpu_hours_mean", "gpu_hours"),
    "iterations done": ("iterations_done",),
    "iw bound": ("iw_nll", "iw_nll_mean"),
    "latents": ("num_latents",),
    "ours − paper": ("nll_minus_published",),
    "paper": ("published_nll",),
    "parameters": ("num_parameters",),
    "rate": ("rate_nats", "rate_nats_mean"),
    "seeds": ("num_seeds",),
    "test nll": ("nll", "nll_mean"),
    "± over images": ("nll_evaluation_error",),
}
_UNITS = {"(nats)": "nats", "(nats per image)": "nats", "(bits/dim)": "bits_per_dim"}
_LISTED = 12  # columns, where none is like the one that was typed
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
    """Some columns, each once."""
    names = [*dict.fromkeys(names)]
    return pd.concat([values_of(frame, name) for name in names], axis=1, keys=names)


def values_of(frame: pd.DataFrame, name: str) -> "pd.Series[Any]":
    """A column by its name or by its heading in a table for reading; raises ResultError.

    An NLL such as `nll` is in each row's own unit.
    """
    for known in (name, *_columns_of_heading(name)):
        if known in frame:
            return frame[known]
        if {"unit", f"{known}_nats", f"{known}_bits_per_dim"} <= set(frame):
            return column_in_unit(frame, known)
    columns = [str(column) for column in frame.columns]
    of_units = [column.removesuffix("_nats") for column in columns if column.endswith("_nats")]
    headings = [name for name in _HEADINGS if any(c in columns for c in _HEADINGS[name])]
    hint = nearest(name, [*columns, *of_units, *headings]).partition("; known")[0]
    if not hint:
        more = f" and {len(columns) - _LISTED} more (--json)" if len(columns) > _LISTED else ""
        hint = f"; there are {', '.join(columns[:_LISTED])}{more}"
    raise ResultError(f"no column {name!r}{hint}")


def _columns_of_heading(heading: str) -> list[str]:
    """The columns that a heading may mean: "rate (nats)", or without its detail."""
    name, _, _ = heading.partition(" (")
    unit = _UNITS.get(heading[len(name) :].strip())
    columns = _HEADINGS.get(name.lower(), ())
    return [*(f"{column}_{unit}" for column in columns if unit), *columns]


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
