"""From the folders of runs to the tables of a study."""

from collections.abc import Iterable
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from model.table import ResultError, metadata_of
from study.collecting.run_result import RunResult
from study.registry import STUDY_TABLES
from study.tables.identity import with_identity


def collect(study: str, names: Iterable[str], directories: Iterable[Path]) -> dict[str, pa.Table]:
    """Tables of a study, ordered by dataset, variant and seed; raises ResultError.

    One run after the other is read, so that memory holds the images of one.
    """
    parts: dict[str, list[pa.Table]] = {name: [] for name in names}
    ordered = sorted({directory.absolute() for directory in directories}, key=_identity)
    for before, after in pairwise(ordered):
        if _identity(before) == _identity(after):
            raise ResultError(f"{after} and {before} hold the same run")
    for directory in ordered:
        run = RunResult.read(directory)
        for name, tables in parts.items():
            rows = _rows(name, run)
            if tables and tables[0].schema.names[-rows.num_columns :] != rows.schema.names:
                raise ResultError(
                    f"{directory}: {name} has other columns than in {ordered[0]}: one of the two "
                    "is of an older version; make it again"
                )
            tables.append(with_identity(rows, study, run.config))
    return {name: pa.concat_tables(tables) for name, tables in parts.items()}


def _identity(directory: Path) -> tuple[str, str, int | str]:
    """Dataset, variant and seed, by the name of a run's folder."""
    *_, dataset, variant, seed = directory.parts
    number = seed.removeprefix("seed")
    return dataset, variant, int(number) if number.isdecimal() else seed


def _rows(name: str, run: RunResult) -> pa.Table:
    """The rows of one run in a table of the study."""
    module = STUDY_TABLES[name].module
    if module is None:
        rows = run.table(name)
        about = metadata_of(rows)
        kept = {key: about[key] for key in ("table", "schema_version")}
        return rows.replace_schema_metadata(kept)
    owner = import_module(module)
    try:
        return owner.TABLE.of_rows(owner.rows(run))
    except KeyError as error:
        raise ResultError(
            f"{run.directory}: {error} is missing; train, evaluate and probe this run again"
        ) from None
    except pa.ArrowException as error:
        raise ResultError(f"{run.directory}: {str(error).splitlines()[0]}") from None
