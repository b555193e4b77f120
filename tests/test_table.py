"""Files of tables: a damaged one is noticed, whichever byte it is."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.table import ResultError, Table, column, metadata_of, read_parquet

TABLE = Table(
    name="test",
    row="image",
    columns=[
        column("image", pa.int32(), "number of the image"),
        column("nll_nats", pa.float64(), "bound", "nats"),
        column("rates", pa.list_(pa.float32()), "rate per layer", "nats"),
    ],
)
ROWS = [{"image": i, "nll_nats": i / 7, "rates": [0.5 * i, 1.0]} for i in range(20)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    TABLE.write(TABLE.of_rows(ROWS), tmp_path / "test.parquet", {"dataset_sha256": "0" * 64})
    return tmp_path / "test.parquet"


def test_a_table_is_read_as_it_was_written(path: Path) -> None:
    table = read_parquet(path)
    assert table.to_pylist() == TABLE.of_rows(ROWS).to_pylist()
    assert metadata_of(table) == {
        "table": "test",
        "schema_version": "1",
        "dataset_sha256": "0" * 64,
    }
    assert table.schema.field("rates").metadata[b"unit"] == b"nats"
    assert read_parquet(path, ["image"]).column_names == ["image"]
    # Others read it, too, and pages have checksums for them.
    assert list(pd.read_parquet(path)["image"]) == list(range(20))
    pq.ParquetFile(path, page_checksum_verification=True).read()


def test_equal_tables_are_equal_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.parquet"
    TABLE.write(TABLE.of_rows(ROWS), again, {"dataset_sha256": "0" * 64})
    assert again.read_bytes() == path.read_bytes()


def test_every_flipped_byte_is_found(path: Path) -> None:
    """In the data, in the metadata, in the digest itself."""
    content = path.read_bytes()
    random = np.random.default_rng(0)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= random.integers(1, 256)
        path.write_bytes(damaged)
        with pytest.raises(ResultError, match=r"test\.parquet: .*; delete it"):
            read_parquet(path)


@pytest.mark.parametrize("length", [0, 1, 8, 100, -1])
def test_every_truncation_is_found(path: Path, length: int) -> None:
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ResultError, match=r"test\.parquet(:| is empty).*; delete it"):
        read_parquet(path)


def test_what_is_no_such_file_is_one_line(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ResultError, match="is no file; delete it"):
        read_parquet(tmp_path)
    with pytest.raises(ResultError, match="is missing; make it"):
        read_parquet(tmp_path / "other.parquet")
    with pytest.raises(ResultError, match="column rate is missing; delete it"):
        read_parquet(path, ["rate"])
    pq.write_table(TABLE.of_rows(ROWS), path)  # by somebody else, or by an older version
    with pytest.raises(ResultError, match="no table, or of an older version; delete it"):
        read_parquet(path)


@pytest.mark.parametrize(
    ("arrow_type", "values"),
    [
        (pa.int32(), [1, None, -3]),
        (pa.int64(), [2**40, np.int64(-1)]),
        (pa.float64(), [1.5, None, float("inf"), 2, np.float64(0.1)]),
        (pa.float32(), [0.1, None]),
        (pa.string(), ["é", None, "", "xyz"]),
        (pa.list_(pa.float32()), [[0.1, 2.0], None, [], [0.5]]),
        (pa.list_(pa.string()), [["a"], ["b", None]]),
        (pa.list_(pa.int64()), [None] * 9),
        (pa.bool_(), [True, None]),
        (pa.float64(), []),
        (pa.string(), []),
    ],
    ids=str,
)
def test_columns_are_those_that_arrow_makes(arrow_type: pa.DataType, values: list[object]) -> None:
    table = Table(name="one", row="value", columns=[column("value", arrow_type, "a value")])
    made = table.of_rows({"value": value} for value in values)["value"].combine_chunks()
    made.validate(full=True)
    assert made.equals(pa.array(values, arrow_type))
    assert made.null_count == values.count(None)


@pytest.mark.parametrize(
    ("arrow_type", "value"),
    [
        (pa.int64(), 1.5),
        (pa.float64(), "1.5"),
        (pa.string(), 1),
        (pa.int32(), 2**40),
        (pa.list_(pa.float32()), 1.0),
        (pa.list_(pa.float32()), "1"),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused(arrow_type: pa.DataType, value: object) -> None:
    table = Table(name="one", row="value", columns=[column("value", arrow_type, "a value")])
    with pytest.raises((TypeError, OverflowError)):
        table.of_rows([{"value": value}])
