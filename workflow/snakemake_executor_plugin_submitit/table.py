"""Each head's table of its jobs: which job is which, how it is, and where it writes."""

import contextlib
import os
from collections.abc import Collection, Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from snakemake_executor_plugin_submitit.ledger import this_head

FILES = "jobs.*.tsv"
UNFINISHED = ".new"


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

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILES.replace("*", this_head())
        self._written: str | None = None

    def write(self, rows: Iterable[Row]) -> None:
        """Replace the file by these rows, or say by its time that it still has them."""
        names = [field.name for field in fields(Row)]
        lines = ["\t".join(columns) for columns in (names, *map(astuple, rows))]
        text = "\n".join(lines) + "\n"
        if text == self._written:
            with contextlib.suppress(OSError):
                os.utime(self._path)
        else:
            new = self._path.with_suffix(UNFINISHED)
            new.write_text(text)
            with contextlib.suppress(FileNotFoundError):  # another head has just cleared up
                os.replace(new, self._path)
                self._written = text

    def close(self, jobs: Collection[str]) -> None:
        """Remove the files, of whichever head, that have none of these jobs: which there are."""
        for path in self._folder.glob(FILES):
            if not any(row.job in jobs for row in _rows(path)):
                path.unlink(missing_ok=True)
        for path in self._folder.glob(f"jobs.*{UNFINISHED}"):  # of heads that were killed
            path.unlink(missing_ok=True)


def read(folder: Path) -> list[tuple[Row, float]]:
    """All heads' rows in this folder, and when each head saw it so, in seconds since 1970.

    Of a job that changed hands, the newer one.
    """
    times = []
    for path in folder.glob(FILES):
        with contextlib.suppress(FileNotFoundError):  # its head has just ended
            times.append((path.stat().st_mtime, path))
    rows = {row.job: (row, time) for time, path in sorted(times) for row in _rows(path)}
    return list(rows.values())


def _rows(path: Path) -> list[Row]:
    try:
        lines = path.read_text().splitlines()[1:]
    except FileNotFoundError:
        return []
    return [Row(*line.split("\t")) for line in lines]
