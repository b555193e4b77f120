"""A user's own images as arrays: .npy files and IDX files (MNIST's format), read batch by batch."""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from model.data.archives import Images, Stream, idx_header, npy_header, row_batches
from model.data.decoding import ImageDecoder
from model.data.raw_files import RawEntry, refuse_bomb
from model.data.sources import DataError

IDX_IMAGES = re.compile(r"[.-]idx3-ubyte(\.gz)?$")
LABELS = re.compile(r"([.-]idx1-ubyte(\.gz)?|(^|[^a-z])(labels?|targets?)([^a-z].*)?\.npy)$")


def is_array(name: str) -> bool:
    """Whether a file of this name holds an array of images."""
    return name.lower().endswith(".npy") or IDX_IMAGES.search(name.lower()) is not None


def is_labels(name: str) -> bool:
    """Whether a file of this name holds an array of labels."""
    return LABELS.search(name.lower()) is not None


class ArrayFile:
    """uint8 [N, H, W] or [N, H, W, C] with C 1 or 3; raises DataError if it is anything else."""

    def __init__(self, entry: RawEntry) -> None:
        self.entry = entry
        with self._opened() as (_, shape):
            self.shape = shape
        if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
            raise DataError(
                f"{entry.place}: the array is {list(shape)}, expected [N, H, W] or [N, H, W, C] "
                "with 1 or 3 channels"
            )
        if 0 in shape:
            raise DataError(f"{entry.place}: the array is {list(shape)}: no images")

    @property
    def num_images(self) -> int:
        """Images in the file."""
        return self.shape[0]

    def batches(self, decoder: ImageDecoder) -> Iterator[Images]:
        """Yield [n, S, S, C], cropped and resized as the decoder's options say."""
        size, channels = decoder.own.image_size, decoder.own.image_channels
        kind = f"array of {'x'.join(map(str, self.shape[1:]))}"
        with self._opened() as (stream, shape):
            position = 0
            for images in row_batches(stream, shape, self.entry.place):
                if images.ndim == 3:
                    images = images[..., None]
                if images.shape[1:] == (size, size, channels):
                    decoder.steps[kind] += len(images)
                    yield images
                else:
                    yield np.stack(
                        [
                            decoder.fit(_picture(image), f"{self.entry.place}[{n}]", [kind])
                            for n, image in enumerate(images, start=position)
                        ]
                    )
                position += len(images)

    @contextmanager
    def _opened(self) -> Iterator[tuple[Stream, tuple[int, ...]]]:
        """The stream behind the header, and the shape that the header announces."""
        place = self.entry.place
        with self.entry.open() as file:
            try:
                if self.entry.path.suffix.lower() == ".gz":
                    with gzip.open(file) as stream:
                        shape: tuple[int, ...] = idx_header(stream, place)
                        refuse_bomb(place, self.entry.size_bytes, math.prod(shape))
                        yield stream, shape
                else:
                    is_npy = self.entry.path.suffix.lower() == ".npy"
                    shape = npy_header(file, place) if is_npy else idx_header(file, place)
                    if math.prod(shape) > self.entry.size_bytes:
                        raise DataError(
                            f"{place}: the header announces {list(shape)}, more than the file's "
                            f"{self.entry.size_bytes} bytes; replace it"
                        )
                    yield file, shape
            except (BadZipFile, zlib.error, gzip.BadGzipFile, EOFError) as error:
                raise DataError(f"{place}: damaged ({error}); replace it") from error


def _picture(image: Images) -> Image.Image:
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
