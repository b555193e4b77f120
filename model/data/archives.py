"""Readers of the formats in which images are published; the large ones never hold a whole file."""

import gzip
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.sources import DataError

Images = NDArray[np.uint8]  # [N, H, W, C], intensities 0..255

IDX_MAGIC_IMAGES = 0x00000803  # unsigned bytes, three dimensions
NPZ_BATCH = 1024  # images in memory at a time: 12 MiB at 64x64


def read_idx_images(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped idx3 file into [N, H, W]; raise DataError if magic or counts are wrong."""
    with gzip.open(path) as stream:
        content = stream.read()
    if len(content) < 16:
        raise DataError(f"{path}: {len(content)} bytes are too few for the header of an idx3 file")
    magic, num_images, height, width = np.frombuffer(content, ">u4", count=4).tolist()
    if magic != IDX_MAGIC_IMAGES:
        raise DataError(
            f"{path}: magic number 0x{magic:08x}, expected 0x{IDX_MAGIC_IMAGES:08x} (idx3 images)"
        )
    pixels = np.frombuffer(content, np.uint8, offset=16)
    if pixels.size != num_images * height * width:
        raise DataError(
            f"{path}: the header announces {num_images} images of {height}x{width}, "
            f"but {pixels.size} pixels follow"
        )
    return pixels.reshape(num_images, height, width)


def read_cifar10_batch(archive: tarfile.TarFile, name: str) -> Images:
    """Read one pickled batch of CIFAR-10's archive, `data_batch_1` for one, into [N, 32, 32, 3]."""
    stream = archive.extractfile(f"cifar-10-batches-py/{name}")
    assert stream is not None
    # A pickle can run code: this one is of a file whose checksum was verified.
    batch = pickle.load(stream, encoding="bytes")  # Python 2 wrote it
    return _channels_last(batch[b"data"], 32)


def npz_batches(path: Path, image_size: int) -> Iterator[Images]:
    """Yield [n, H, W, 3] of the array `data` of each .npz in a zip, sorted by name.

    Raises DataError if an array is not uint8 [N, 3 * H * W].
    """
    with ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(".npz"):
                continue
            # np.load would hold the whole array, 1.6 GB of ImageNet64: read through both zips.
            with archive.open(name) as npz, ZipFile(npz) as arrays, arrays.open("data.npy") as data:
                for rows in _npy_rows(data, 3 * image_size**2, f"{path}: {name}"):
                    yield _channels_last(rows, image_size)


def _npy_rows(data: IO[bytes], row_size: int, place: str) -> Iterator[NDArray[np.uint8]]:
    version = np.lib.format.read_magic(data)
    if version != (1, 0):
        raise DataError(f"{place}: .npy format {version}, expected (1, 0)")
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(data)
    if dtype != np.uint8 or is_fortran or len(shape) != 2 or shape[1] != row_size:
        order = "Fortran" if is_fortran else "C"
        raise DataError(
            f"{place}: `data` is {dtype} {list(shape)} in {order} order, "
            f"expected uint8 [N, {row_size}] in C order"
        )
    num_left = shape[0]
    while num_left:
        num_rows = min(num_left, NPZ_BATCH)
        content = data.read(num_rows * row_size)
        if len(content) != num_rows * row_size:
            raise DataError(f"{place}: `data` ends before row {shape[0]}; replace it")
        yield np.frombuffer(content, np.uint8).reshape(num_rows, row_size)
        num_left -= num_rows


def _channels_last(rows: NDArray[np.uint8], image_size: int) -> Images:
    """[N, 3 * H * W], all red pixels first, then green, then blue -> [N, H, W, 3]."""
    return rows.reshape(-1, 3, image_size, image_size).transpose(0, 2, 3, 1)


def tar_images(path: Path, image_size: int) -> Iterator[Images]:
    """Yield [1, H, W, 3] of each PNG in a tar, in the tar's order, which its checksum fixes.

    Raises DataError at the first that is broken or of another size.
    """
    with tarfile.open(path, "r|") as archive:
        while (member := archive.next()) is not None:
            # tarfile remembers every member, 1.3 million of ImageNet's; a stream needs none.
            archive.members.clear()  # type: ignore[attr-defined]
            if member.name.endswith(".png"):
                stream = archive.extractfile(member)
                assert stream is not None
                picture = decode(stream, (image_size, image_size), f"{path}: {member.name}")
                yield np.asarray(picture)[None]


def decode(stream: IO[bytes], size: tuple[int, int], place: str) -> Image.Image:
    """Decode a whole image of `size` (width, height) into RGB.

    Raises DataError, which names `place`, if it is broken or of another size.
    """
    try:
        with Image.open(stream) as file:
            picture = file.convert("RGB")
    # Pillow and zipfile have no common class of errors for damaged content.
    except Exception as error:
        raise DataError(f"{place}: this image cannot be decoded ({error}); replace it") from error
    if picture.size != size:
        raise DataError(f"{place}: {picture.size} pixels (width, height), expected {size}")
    return picture
