"""Tables: parquet files whose columns are described once, beside the code that makes their rows."""

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.files import AGAIN, atomic_write

if TYPE_CHECKING:  # takes long to import, and most tables do without
    import pandas as pd


# A file's metadata hold the sha256 of the file with zeros in its place: Parquet's own checksums are
# of the data only, not of the metadata.  The two bytes are a text's type and its length, 64.
_DIGEST = "file_sha256"
_PLACE = _DIGEST.encode() + b"\x18\x40"
_NO_DIGEST = b"0" * 64


class ResultError(ValueError):
    """A result file that is missing, unreadable, or does not fit the others; one line."""


def column(name: str, arrow_type: pa.DataType, description: str, unit: str = "") -> pa.Field:
    """A column; its description and unit are stored in the parquet file."""
    metadata = {"description": description, **({"unit": unit} if unit else {})}
    return pa.field(name, arrow_type, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One kind of parquet file: its columns, and how it is written."""

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
        columns = [_array([row[f.name] for row in rows], f.type) for f in self.schema]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def of_frame(self, frame: "pd.DataFrame") -> pa.Table:
        """The Arrow table of a data frame, without pandas' own metadata: it holds a version."""
        table = pa.Table.from_pandas(frame, schema=self.schema, preserve_index=False)
        return table.replace_schema_metadata(self.schema.metadata)

    def write(self, table: pa.Table, path: Path, about: Mapping[str, str] | None = None) -> None:
        """Write atomically, `about` into the file's metadata; equal tables give equal bytes."""
        metadata = {**metadata_of(self.schema), **(about or {})}
        if table.schema != self.schema:  # casting imports Arrow's functions
            table = table.cast(self.schema)
        write_parquet(table.replace_schema_metadata(metadata), path)


_NUMBERS = {pa.int32(): "i", pa.int64(): "q", pa.float32(): "f", pa.float64(): "d"}


def _array(values: Sequence[Any], arrow_type: pa.DataType) -> pa.Array:
    """`pa.array(values, arrow_type)`, which imports pandas to see whether the values are of it."""
    is_list = pa.types.is_list(arrow_type)
    if not (is_list or pa.types.is_string(arrow_type) or arrow_type in _NUMBERS):
        return pa.array(values, arrow_type)
    is_there = [value is not None for value in values]
    validity = None
    if not all(is_there):
        validity = pa.py_buffer(np.packbits(is_there, bitorder="little").tobytes())
    if arrow_type in _NUMBERS:
        numbers = array(_NUMBERS[arrow_type], (0 if value is None else value for value in values))
        buffers = [validity, pa.py_buffer(numbers)]
        return pa.Array.from_buffers(arrow_type, len(values), buffers)
    parts: list[Any] = [([] if is_list else "") if value is None else value for value in values]
    if not is_list:
        parts = [str.encode(text) for text in parts]  # a TypeError for what is no text
    offsets = array("i", [0, *accumulate(map(len, parts))])
    buffers = [validity, pa.py_buffer(offsets)]
    if is_list:
        children = [_array([*chain.from_iterable(parts)], arrow_type.value_type)]
        return pa.Array.from_buffers(arrow_type, len(values), buffers, children=children)
    buffers.append(pa.py_buffer(b"".join(parts)))
    return pa.Array.from_buffers(arrow_type, len(values), buffers)


def metadata_of(table: pa.Table | pa.Schema) -> dict[str, str]:
    """The key-value metadata of a table's file, or of a schema."""
    metadata = table.schema.metadata if isinstance(table, pa.Table) else table.metadata
    return {key.decode(): value.decode() for key, value in (metadata or {}).items()}


def write_parquet(table: pa.Table, path: Path) -> None:
    """Write a table atomically, with a digest of the file in it; equal tables give equal bytes."""
    with atomic_write(path) as temporary:
        with pq.ParquetWriter(
            temporary, table.schema, compression="zstd", write_page_checksum=True
        ) as writer:
            writer.write_table(table)
            writer.add_key_value_metadata({_DIGEST: _NO_DIGEST.decode()})
        content = temporary.read_bytes()
        digest = hashlib.sha256(content).hexdigest().encode()
        before, after = content.rsplit(_PLACE + _NO_DIGEST, 1)
        temporary.write_bytes(before + _PLACE + digest + after)


def read_parquet(path: Path, columns: Iterable[str] | None = None) -> pa.Table:
    """Read what `write_parquet` wrote, every byte of it verified; raises ResultError, one line."""
    content, columns = read_file(path), columns and list(columns)
    before, place, rest = content.rpartition(_PLACE)
    found, after = rest[: len(_NO_DIGEST)], rest[len(_NO_DIGEST) :]
    # Before anything is parsed: a damaged length could ask for any amount of memory.
    digest = hashlib.sha256(before + place + _NO_DIGEST + after).hexdigest().encode()
    if not place or found != digest:
        what = "not the bytes that were written" if place else "no table, or of an older version"
        raise ResultError(f"{path}: {what}; {AGAIN}")
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        names = file.schema_arrow.names
        if missing := [name for name in columns or () if name not in names]:
            raise ResultError(f"{path}: column {missing[0]} is missing; {AGAIN}")
        # Threads take longer than they save on a small file, of which a study has thousands.
        table = file.read(columns, use_threads=len(content) > 2**20)
    except (pa.ArrowException, OSError) as error:  # written by another version of Arrow
        raise ResultError(f"{path}: {str(error).splitlines()[0]}; {AGAIN}") from None
    about = metadata_of(table)
    return table.replace_schema_metadata({k: v for k, v in about.items() if k != _DIGEST})


def read_file(path: Path) -> bytes:
    """The content of a result; raises ResultError if it is missing, empty or no file."""
    if not path.exists():
        raise ResultError(f"{path} is missing; make it with snakemake")
    if not path.is_file():
        raise ResultError(f"{path} is no file; {AGAIN}")
    content = path.read_bytes()
    if not content:
        raise ResultError(f"{path} is empty; {AGAIN}")
    return content
