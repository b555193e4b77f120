"""Readers of the formats in which images are published; the large ones never hold a whole file."""

import gzip
import math
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
Stream = IO[bytes] | gzip.GzipFile

# What a pickled array is made of; numpy.core is its place before NumPy 2.
ARRAY_CLASSES = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
IDX_MAGIC_IMAGES = 0x00000803  # unsigned bytes, three dimensions
# Images in memory at a time: 12 MiB at 64x64, and no more of larger ones.
ROWS_AT_ONCE, BYTES_AT_ONCE = 1024, 1024 * 64 * 64 * 3


def read_idx_images(path: Path) -> NDArray[np.uint8]:
    """Read a gzipped idx3 file into [N, H, W]; raise DataError if magic or counts are wrong."""
    with gzip.open(path) as stream:
        shape = idx_header(stream, str(path))
        return np.concatenate(list(row_batches(stream, shape, str(path))))


def idx_header(stream: Stream, place: str) -> tuple[int, int, int]:
    """Read the header of an idx3 file: [N, H, W]; raise DataError if it is another one."""
    header = stream.read(16)
    if len(header) < 16:
        raise DataError(f"{place}: {len(header)} bytes are too few for the header of an idx3 file")
    magic, num_images, height, width = np.frombuffer(header, ">u4", count=4).tolist()
    if magic != IDX_MAGIC_IMAGES:
        raise DataError(
            f"{place}: magic number 0x{magic:08x}, expected 0x{IDX_MAGIC_IMAGES:08x} (idx3 images)"
        )
    return num_images, height, width


def npy_header(stream: IO[bytes], place: str) -> tuple[int, ...]:
    """Read the header of an .npy file of uint8 in C order: its shape; raise DataError otherwise."""
    try:
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise DataError(f"{place}: .npy format {version}, expected (1, 0)")
        shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except ValueError as error:
        raise DataError(f"{place}: not an .npy file ({error})") from error
    if dtype != np.uint8 or is_fortran:
        order = "Fortran" if is_fortran else "C"
        raise DataError(
            f"{place}: the array is {dtype} {list(shape)} in {order} order, expected uint8 "
            "(0 ... 255) in C order"
        )
    return shape


def row_batches(stream: Stream, shape: tuple[int, ...], place: str) -> Iterator[NDArray[np.uint8]]:
    """Yield [n, ...] until all rows of an array are read, none of which is held.

    Raises DataError if the stream ends before, or not there.
    """
    num_rows, *rest = shape
    row_size = math.prod(rest)
    at_once = max(1, min(ROWS_AT_ONCE, BYTES_AT_ONCE // max(row_size, 1)))
    for start in range(0, num_rows, at_once):
        number = min(num_rows - start, at_once)
        content = stream.read(number * row_size)
        if len(content) != number * row_size:
            raise DataError(
                f"{place}: the header announces {list(shape)}, but the file ends at row "
                f"{start + len(content) // row_size}; replace it"
            )
        yield np.frombuffer(content, np.uint8).reshape(number, *rest)
    if stream.read(1):
        raise DataError(f"{place}: more follows than the header's {list(shape)}; replace it")


def read_cifar10_batch(archive: tarfile.TarFile, name: str) -> Images:
    """Read one pickled batch of CIFAR-10's archive, `data_batch_1` for one, into [N, 32, 32, 3]."""
    stream = archive.extractfile(f"cifar-10-batches-py/{name}")
    assert stream is not None
    batch = _ArrayUnpickler(stream, encoding="bytes").load()  # Python 2 wrote it
    return _channels_last(batch[b"data"], 32)


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays, lists and dicts: a pickle can run code, and only md5 vouches for CIFAR-10's."""

    def find_class(self, module: str, name: str) -> object:
        if (module, name) in ARRAY_CLASSES:
            return super().find_class(module, name)
        raise DataError(f"a pickled {module}.{name}: these are not the published files")


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
                place = f"{path}: {name}: `data`"
                shape = npy_header(data, place)
                if shape[1:] != (3 * image_size**2,):
                    raise DataError(
                        f"{place} is {list(shape)}, expected [N, {3 * image_size**2}]: "
                        "these are not the published images"
                    )
                for rows in row_batches(data, shape, place):
                    yield _channels_last(rows, image_size)


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
