"""From the folders of runs to the tables of a study."""

from collections.abc import Callable, Iterable
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from model.table import ResultError, metadata_of
from study.collecting.run_result import RunResult
from study.registry import STUDY_TABLES
from study.tables.identity import with_identity


def collect(
    study: str,
    names: Iterable[str],
    directories: Iterable[Path],
    skip: Callable[[str], None] | None = None,
) -> dict[str, pa.Table]:
    """Tables of a study, ordered by dataset, variant and seed.

    Raises ResultError for a run that cannot be read; with `skip` it is left out, and `skip` is
    told why in one line.  One run after the other is read, so that memory holds the images of one.
    """
    parts: dict[str, list[pa.Table]] = {name: [] for name in names}
    ordered = sorted({directory.absolute() for directory in directories}, key=_identity)
    for before, after in pairwise(ordered):
        if _identity(before) == _identity(after):
            raise ResultError(f"{after} and {before} hold the same run")
    for directory in ordered:
        try:
            of_run = _tables(study, directory, parts)
        except ResultError as error:
            if skip is None:
                raise
            skip(str(error))
            continue
        for name, table in of_run.items():
            parts[name].append(table)
    if not all(parts.values()):
        raise ResultError(f"no run of {study} can be read")
    return {name: pa.concat_tables(tables) for name, tables in parts.items()}


def _tables(study: str, directory: Path, before: dict[str, list[pa.Table]]) -> dict[str, pa.Table]:
    """One run's rows in each table, of the same columns as those before."""
    run = RunResult.read(directory)
    tables = {}
    for name, others in before.items():
        rows = with_identity(_rows(name, run), study, run.config)
        if others and others[0].schema != rows.schema:
            raise ResultError(
                f"{directory}: {name} has other columns than in the runs before: one of the two is "
                "of an older version; make it again"
            )
        tables[name] = rows
    return tables


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
    except ResultError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, pa.ArrowException) as error:
        # All bytes are as they were written, so an older version wrote them.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ResultError(
            f"{run.directory}: {name}: {reason}; train, evaluate and probe this run again"
        ) from None
