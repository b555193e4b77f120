"""Datasets as arrays on disk: preprocessing them, and loading them."""

from __future__ import annotations

import json
import math
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from model.data import sources
from model.data.archives import Images
from model.data.dataset_info import SPLITS, DatasetInfo, Split, load_info, preprocess_hint
from model.data.datasets import Dataset
from model.data.npy import NpyWriter
from model.data.raw_digest import own_files_sha256
from model.data.sources import DataError, sha256_of
from model.files import atomic_write, write_text

# --- preprocessing: arrays on disk -----------------------------------------------------------


def preprocess(dataset: Dataset, data_dir: str | Path) -> DatasetInfo:
    """Write `{data_dir}/{dataset}/{train,valid,test}.npy`, and last `dataset.json`.

    Memory: 160 MB, of which 60 for ImageNet64's validation set; 0.7 GB for CIFAR-10, which is read
    at once. Raises DataError if the raw files are missing, not the published ones or unreadable.
    """
    if dataset.raw is not None:
        sources.verify(dataset.raw, data_dir)
    folder = Path(data_dir) / dataset.name
    # Before they are read: files that change meanwhile are noticed the next time.
    own_sha256 = own_files_sha256(data_dir, dataset.name) if dataset.is_own else None
    _write_arrays(dataset, sources.raw_dir(data_dir, dataset.name), folder)
    arrays = {split: np.load(folder / f"{split}.npy", mmap_mode="r") for split in SPLITS}
    _, height, width, image_channels = arrays["train"].shape
    assert height == width
    pixel_mean, pixel_std = pixel_moments(arrays["train"])
    info = DatasetInfo(
        name=dataset.name,
        version=dataset.version,
        source=dataset.source,
        licence=dataset.licence,
        split_description=dataset.split_description,
        image_size=height,
        image_channels=image_channels,
        num_images={split: len(arrays[split]) for split in SPLITS},
        sha256={split: sha256_of(folder / f"{split}.npy") for split in SPLITS},
        pixel_mean=pixel_mean,
        pixel_std=pixel_std,
        raw_sha256=own_sha256,
    )
    with atomic_write(folder / "dataset.json") as temporary:
        temporary.write_text(json.dumps(asdict(info), indent=2) + "\n")
    return info


def _write_arrays(dataset: Dataset, raw: Path, folder: Path) -> None:
    with ExitStack() as renames:
        with ExitStack() as files:
            writers = {}
            for split in SPLITS:
                temporary = renames.enter_context(atomic_write(folder / f"{split}.npy"))
                writers[split] = files.enter_context(NpyWriter(temporary))
            for split, images in dataset.make(raw):
                writers[split].append(images)
        # dataset.json says that the arrays are complete: it must not outlive the ones it describes.
        (folder / "dataset.json").unlink(missing_ok=True)


def pixel_moments(images: Images) -> tuple[float, float]:
    """Return mean and standard deviation of all pixels of [N, H, W, C], in units of 0..255."""
    # By histogram: exact integers, so that the result is the same on every machine; in chunks,
    # because bincount makes its argument eight times as large.
    histogram = np.zeros(256, np.int64)
    for start in range(0, len(images), 1024):
        histogram += np.bincount(images[start : start + 1024].ravel(), minlength=256)
    values = np.arange(256)
    count = int(histogram.sum())
    total = int((histogram * values).sum())
    total_squares = int((histogram * values**2).sum())
    return total / count, math.sqrt(count * total_squares - total**2) / count


# --- loading ---------------------------------------------------------------------------------


def load_images(data_dir: str | Path, dataset: str, split: Split) -> Images:
    """Map a split's array, uint8 [N, H, W, C], into memory read-only.

    Raises DataError if it is missing, or differs from `dataset.json` in a byte.
    """
    info = load_info(data_dir, dataset)
    path = Path(data_dir) / dataset / f"{split}.npy"
    hint = preprocess_hint(data_dir, dataset)
    if not path.is_file():
        raise DataError(f"{path}: no such file; {hint}")
    try:
        images: Images = np.load(path, mmap_mode="r")
    except (ValueError, EOFError) as error:
        raise DataError(f"{path}: not a complete .npy file ({error}); {hint}") from error
    shape = (info.num_images[split], info.image_size, info.image_size, info.image_channels)
    if images.dtype != np.uint8 or images.shape != shape:
        raise DataError(
            f"{path}: {images.dtype} {list(images.shape)}, "
            f"but dataset.json says uint8 {list(shape)}; {hint}"
        )
    if not _is_verified(path, info.sha256[split]):
        raise DataError(f"{path}: not the bytes whose sha256 is in dataset.json; {hint}")
    return images


def _is_verified(path: Path, sha256: str) -> bool:
    """Whether a file has this digest; a version of it, by size and time, is read once."""
    stat = path.stat()
    version = f"{stat.st_size} {stat.st_mtime_ns} {sha256}"
    record = path.with_name(f"{path.name}.verified")
    with suppress(OSError, UnicodeDecodeError):
        if record.read_text() == version:
            return True
    if sha256_of(path) != sha256:
        return False
    with suppress(OSError):  # a folder that only its owner may write to
        write_text(record, version)
    return True
