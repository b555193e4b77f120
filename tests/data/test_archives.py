"""Reading published formats: pixel order, and damaged files that are named."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from model.data.archives import npz_batches, read_cifar10_batch, read_idx_images
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


# Of a batch as Python 2 pickled it (protocol 2): a dict of byte strings and an array of two images.
PYTHON_2_BATCH = (
    b"\x80\x02}q\x01(U\x04dataq\x02cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04"
    b"K\x00\x85U\x01b\x87Rq\x05(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07"
    b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x18\x00\x00PIXELStbU\x06labels"
    b"]q\x08(K\x01K\x02eu."
)


def cifar10_archive(path: Path, batch: bytes) -> tarfile.TarFile:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        member.size = len(batch)
        archive.addfile(member, io.BytesIO(batch))
    return tarfile.open(path)


def test_a_batch_that_python_2_pickled_is_read(tmp_path: Path) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (2, 3, 32, 32)).astype(np.uint8)
    batch = PYTHON_2_BATCH.replace(b"PIXELS", pixels.tobytes())
    with cifar10_archive(tmp_path / "cifar.tar.gz", batch) as archive:
        images = read_cifar10_batch(archive, "data_batch_1")
    np.testing.assert_array_equal(images, pixels.transpose(0, 2, 3, 1))


def test_a_batch_that_would_run_code_is_refused(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    batch = b"cpathlib\nPath.touch\n(" + b"cpathlib\nPath\n(V" + str(ran).encode() + b"\ntRtR."
    with (
        cifar10_archive(tmp_path / "cifar.tar.gz", batch) as archive,
        pytest.raises(DataError, match=r"pathlib\.Path.*not the published"),
    ):
        read_cifar10_batch(archive, "data_batch_1")
    assert not ran.exists()
