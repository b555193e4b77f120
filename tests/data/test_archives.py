"""Reading published formats: pixel order, and damaged files that are named."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model.data.archives import npz_batches, read_idx_images
from model.data.sources import DataError


@pytest.mark.parametrize(
    ("magic", "announced", "message"),
    [
        (0x801, 2, "magic number 0x00000801"),
        (0x803, 3, r"announces \[3, 3, 3\], but .* row 2"),
    ],
)
def test_idx_header_is_checked(tmp_path: Path, magic: int, announced: int, message: str) -> None:
    path = tmp_path / "images.gz"
    header = np.array([magic, announced, 3, 3], ">u4").tobytes()
    path.write_bytes(gzip.compress(header + bytes(18)))
    with pytest.raises(DataError, match=message):
        read_idx_images(path)


def test_idx_without_header_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(b"few"))
    with pytest.raises(DataError, match="3 bytes are too few"):
        read_idx_images(path)


def write_npz(path: Path, data: np.ndarray) -> None:
    np.savez(path.parent / "batch.npz", data=data)
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.parent / "batch.npz", "batch.npz")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (np.zeros((2, 11), np.uint8), r"is \[2, 11\], expected \[N, 12\]"),
        (
            np.zeros((2, 12), np.float32),
            r"is float32 \[2, 12\] in C order, expected",
        ),
        (
            np.zeros((2, 12), np.uint8, order="F"),
            r"is uint8 .* in Fortran order, expected",
        ),
        (np.zeros((2, 3, 2, 2), np.uint8), r"is \[2, 3, 2, 2\], expected \[N, 12\]"),
    ],
)
def test_npz_that_does_not_hold_planar_images_is_named(
    tmp_path: Path, data: np.ndarray, found: str
) -> None:
    write_npz(tmp_path / "train.zip", data)
    with pytest.raises(DataError, match=rf"train\.zip: batch\.npz: `data`.* {found}"):
        list(npz_batches(tmp_path / "train.zip", 2))


def test_npz_that_ends_early_is_named(tmp_path: Path) -> None:
    write_npz(tmp_path / "train.zip", np.zeros((5, 12), np.uint8))
    npz = tmp_path / "batch.npz"
    with zipfile.ZipFile(npz) as whole:
        content = whole.read("data.npy")
    with zipfile.ZipFile(npz, "w") as cut:
        cut.writestr("data.npy", content[:-1])
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        archive.write(npz, "batch.npz")
    with pytest.raises(DataError, match=r"train\.zip: batch\.npz: `data`: .* ends at row 4"):
        list(npz_batches(tmp_path / "train.zip", 2))
