"""Tables for a terminal of any width, for a pipe, and JSON."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import isfinite
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text
from tabulate import tabulate

GAP = 2  # between two columns
LEAST = 12  # characters of what is shortened
HEADING = 12  # so many fit into a line of a heading, or as many as the longest cell has


@dataclass(frozen=True)
class Column:
    """A column; where a terminal is narrow, the one with the highest `leaves` goes first."""

    heading: str
    is_number: bool = False
    leaves: int | None = None  # None: it stays


Part = str | Text | tuple[Sequence[Column], Sequence[Sequence[str]]]  # lines, or a table


def fitted(
    columns: Sequence[Column],
    rows: Sequence[Sequence[str]],
    width: int,
    styles: Sequence[str] | None = None,
) -> Table:
    """The columns that a terminal of this width has room for; the first one is shortened last."""
    widths, shown = _widths(columns, rows), _shown(columns, rows, width)
    headings = _headings(columns, rows)
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold")
    for i in shown:
        justify = "right" if columns[i].is_number else "left"
        table.add_column(headings[i], justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for number, row in enumerate(rows):
        first = _shortened(row[0], max(LEAST, _room_for_first(widths, shown, width)))
        cells = [first, *(row[i] for i in shown[1:])]
        table.add_row(*cells, style=styles[number] if styles else None)
    return table


def left_out(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> str:
    """Which columns `fitted` has no room for, in words; "" if there is room for all."""
    shown = _shown(columns, rows, width)
    names = [c.heading for i, c in enumerate(columns) if i not in shown]
    return f"left out at {width} columns: {', '.join(names)}" if names else ""


def without_empty(
    columns: Sequence[Column], rows: Sequence[Sequence[str]]
) -> tuple[list[Column], list[list[str]]]:
    """The columns that have a text in some row."""
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def _headings(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[str]:
    """The headings in lines, so that none makes a column of short cells wide."""
    longest = [max([HEADING, *(len(row[i]) for row in rows)]) for i in range(len(columns))]
    return [_heading(c.heading, width) for c, width in zip(columns, longest, strict=True)]


def _heading(text: str, width: int) -> str:
    """A heading in lines; a detail in brackets begins one."""
    name, bracket, detail = text.partition(" (")
    parts = [text] if len(text) <= width or not bracket else [name, f"({detail}"]
    return "\n".join(
        textwrap.fill(part, width, break_long_words=False, break_on_hyphens=False) for part in parts
    )


def _widths(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(len(text) for text in [*heading.split("\n"), *(row[i] for row in rows)])
        for i, heading in enumerate(_headings(columns, rows))
    ]


def _room_for_first(widths: Sequence[int], shown: Sequence[int], width: int) -> int:
    return width - sum(widths[i] + GAP for i in shown[1:])


def _shown(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The positions of the columns that there is room for."""
    widths, shown = _widths(columns, rows), list(range(len(columns)))
    for leaving in sorted({c.leaves for c in columns if c.leaves is not None}, reverse=True):
        if _room_for_first(widths, shown, width) < widths[0]:
            shown = [i for i in shown if columns[i].leaves != leaving]
    return shown


def plain(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> str:
    """All columns, for other programs: an empty cell is a dash."""
    cells = [[text or "-" for text in row] for row in rows]
    headings = [column.heading for column in columns]
    return tabulate(cells, headings, tablefmt="plain", disable_numparse=True)


def print_parts(parts: Sequence[Part], hint: str = "--json has all") -> None:
    """Print lines and tables, each fitted on a terminal and plain in a pipe.

    `hint` says where the columns are that a terminal has no room for.
    """
    console = Console(highlight=False)
    for part in parts:
        if isinstance(part, tuple):
            columns, rows = part
            if console.is_terminal:
                console.print(fitted(columns, rows, console.width))
                if missing := left_out(columns, rows, console.width):
                    console.print(Text(f"{missing}; {hint}", style="dim"))
            else:
                print(plain(columns, rows))
        elif console.is_terminal:
            console.print(part, markup=False)
        elif part:
            print(part)


def as_json(content: Any) -> str:
    """JSON, also of NumPy's arrays and of times, with null for what it has no number for."""
    return json.dumps(_finite(content), indent=1, allow_nan=False)


def size_text(number: float) -> str:
    """A number of bytes for reading."""
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} TB"


def _shortened(name: str, length: int) -> str:
    """A name with its middle left out: of a run, the seed and the dataset say which it is."""
    if len(name) <= length:
        return name
    end = (length - 1) // 2
    return f"{name[: length - 1 - end]}…{name[-end:]}"


def _finite(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return _finite(value.tolist())
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _finite(content) for key, content in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(content) for content in value]
    return None if isinstance(value, float) and not isfinite(value) else value
