"""The images of a run that are kept to be drawn: `samples.npy`, `learnt.npy`."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np

from model.files import AGAIN, write_bytes
from model.table import ResultError, read_file

Images = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
_DIGEST_BYTES = 32


def write_images(path: Path, images: "np.ndarray[Any, Any]") -> None:
    """Write an array atomically, its sha256 behind it, where np.load does not look."""
    file = io.BytesIO()
    np.save(file, images)
    content = file.getvalue()
    write_bytes(path, content + hashlib.sha256(content).digest())


def read_images(path: Path) -> Images:
    """Read what `write_images` wrote, every byte of it verified; raises ResultError, one line."""
    file = read_file(path)
    content, digest = file[:-_DIGEST_BYTES], file[-_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        raise ResultError(f"{path}: not the bytes that were written; {AGAIN}")
    images: Images = np.load(io.BytesIO(content), allow_pickle=False)
    return images
