"""Tables: parquet files whose columns are described once, beside the code that makes their rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from model.files import atomic_write

if TYPE_CHECKING:  # takes long to import, and most tables do without
    import pandas as pd


class ResultError(ValueError):
    """A result file that is missing, unreadable, or does not fit the others; one line."""


def column(name: str, arrow_type: pa.DataType, description: str, unit: str = "") -> pa.Field:
    """A column; its description and unit are stored in the parquet file."""
    metadata = {"description": description, **({"unit": unit} if unit else {})}
    return pa.field(name, arrow_type, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One kind of parquet file: its columns, and how it is written and read."""

    name: str  # of its files: {name}.parquet
    row: str  # what a row stands for: "applied block"
    columns: Sequence[pa.Field]
    version: int = 1  # raised when a column changes its name or its meaning
    note: str = ""  # what a reader must know beside the columns, in Markdown

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema, with the table's name and version in its metadata."""
        metadata = {"table": self.name, "schema_version": str(self.version)}
        return pa.schema(list(self.columns), metadata=metadata)

    def of_rows(self, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
        """The Arrow table of rows, each of which must have exactly this table's columns."""
        rows = list(rows)
        for row in rows:  # Arrow would fill a forgotten column with nulls and drop an unknown one
            assert set(row) == set(self.schema.names), set(row) ^ set(self.schema.names)
        columns = [pa.array([row[f.name] for row in rows], f.type) for f in self.schema]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def of_frame(self, frame: "pd.DataFrame") -> pa.Table:
        """The Arrow table of a data frame, without pandas' own metadata: it holds a version."""
        table = pa.Table.from_pandas(frame, schema=self.schema, preserve_index=False)
        return table.replace_schema_metadata(self.schema.metadata)

    def write(self, table: pa.Table, path: Path, about: Mapping[str, str] | None = None) -> None:
        """Write atomically, `about` into the file's metadata; equal tables give equal bytes."""
        metadata = {**metadata_of(self.schema), **(about or {})}
        write_parquet(table.cast(self.schema).replace_schema_metadata(metadata), path)

    def read(self, path: Path, remedy: str) -> pa.Table:
        """Read such a file; raises ResultError that ends with `remedy`, what the user is to do."""
        if not path.is_file():
            raise ResultError(f"{path} is missing; {remedy}")
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise ResultError(f"{path}: {str(error).splitlines()[0]}; {remedy}") from None
        found, about = metadata_of(table), metadata_of(self.schema)
        for key, value in about.items():
            if found.get(key) != value:
                raise ResultError(f"{path}: its {key} is {found.get(key)}, not {value}; {remedy}")
        if missing := [name for name in self.schema.names if name not in table.column_names]:
            raise ResultError(f"{path}: column {missing[0]} is missing; {remedy}")
        return table.select(self.schema.names)


def metadata_of(table: pa.Table | pa.Schema) -> dict[str, str]:
    """The key-value metadata of a table's file, or of a schema."""
    metadata = table.schema.metadata if isinstance(table, pa.Table) else table.metadata
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table atomically; equal tables give equal bytes."""
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
