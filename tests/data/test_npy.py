"""An array written batch by batch is the file that NumPy writes at once."""

from pathlib import Path

import numpy as np
import pytest

from model.data.npy import NpyWriter


@pytest.mark.parametrize("num_rows", [1, 9, 10, 12_345])  # the header's number of rows grows
def test_same_bytes_as_numpy(tmp_path: Path, num_rows: int) -> None:
    rows = np.random.RandomState(0).randint(0, 256, (num_rows, 2, 3)).astype(np.uint8)
    with NpyWriter(tmp_path / "ours.npy") as writer:
        for batch in np.array_split(rows, 4):  # empty ones too
            writer.append(batch)
    np.save(tmp_path / "numpy.npy", rows)
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "numpy.npy").read_bytes()


def test_rows_of_a_view_are_written_in_their_order(tmp_path: Path) -> None:
    rows = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(0, 2, 1)
    with NpyWriter(tmp_path / "rows.npy") as writer:
        writer.append(rows)
    np.testing.assert_array_equal(np.load(tmp_path / "rows.npy"), rows)


@pytest.mark.parametrize("other", [np.zeros((1, 2, 2), np.uint8), np.zeros((1, 2, 3), np.int64)])
def test_other_rows_are_refused(tmp_path: Path, other: np.ndarray) -> None:
    with NpyWriter(tmp_path / "rows.npy") as writer:
        writer.append(np.zeros((4, 2, 3), np.uint8))
        with pytest.raises(ValueError, match=r"after uint8 rows \(2, 3\)"):
            writer.append(other)


def test_no_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"rows\.npy: no rows"), NpyWriter(tmp_path / "rows.npy"):
        pass
