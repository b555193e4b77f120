"""The table of a head's jobs, `jobs.tsv`: which job is which, how it is, and where it writes."""

import os
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

NAME = "jobs.tsv"


@dataclass(frozen=True)
class Row:
    """A job that the cluster has."""

    job: str
    state: str
    name: str
    log: str  # of the rule, if it has one
    output: str  # all else that the job prints


class Table:
    """The file, which is written anew whenever a row has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: str | None = None

    def remove(self) -> None:
        """Remove the file, of whichever head: there are no jobs."""
        self._path.unlink(missing_ok=True)
        self._written = None

    def write(self, rows: Iterable[Row]) -> None:
        """Replace the file by these rows, if they are not those that it has."""
        names = [field.name for field in fields(Row)]
        lines = ["\t".join(columns) for columns in (names, *map(astuple, rows))]
        text = "\n".join(lines) + "\n"
        if text != self._written:
            new = self._path.with_name(f"{NAME}.new")
            new.write_text(text)
            os.replace(new, self._path)
            self._written = text


def read(path: Path) -> list[Row]:
    """The rows of a table; none if there is no file."""
    try:
        lines = path.read_text().splitlines()[1:]
    except FileNotFoundError:
        return []
    return [Row(*line.split("\t")) for line in lines]
