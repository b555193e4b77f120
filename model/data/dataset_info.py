"""What `dataset.json` says of a preprocessed dataset; this file imports no NumPy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.data.sources import DataError

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """A preprocessed dataset, as `dataset.json` describes it; every table row cites from here."""

    name: str
    version: str
    source: str
    licence: str
    split_description: str
    image_size: int  # height = width, pixels
    image_channels: int
    num_images: dict[Split, int]
    sha256: dict[Split, str]  # of the bytes of each .npy file
    pixel_mean: float  # over all pixels and channels of train, in units of 0..255
    pixel_std: float
    raw_sha256: str | None = None  # of the user's own files that it was made of

    @property
    def dataset_sha256(self) -> str:
        """Identifies the content of the dataset: equal arrays, equal digest, wherever they lie."""
        content = "".join(f"{split} {self.sha256[split]}\n" for split in SPLITS)
        return hashlib.sha256(content.encode()).hexdigest()


def load_info(data_dir: str | Path, dataset: str) -> DatasetInfo:
    """Read `{data_dir}/{dataset}/dataset.json`; raise DataError if missing or unreadable."""
    path = Path(data_dir) / dataset / "dataset.json"
    if not path.is_file():
        raise DataError(f"{path}: no such file; {preprocess_hint(data_dir, dataset)}")
    try:
        return DatasetInfo(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:  # not UTF-8, not JSON, or other fields
        raise DataError(f"{path}: {error}; {preprocess_hint(data_dir, dataset)}") from error


def preprocess_hint(data_dir: str | Path, dataset: str) -> str:
    """What to do about arrays that are missing or damaged."""
    return f"run `python -m model.data preprocess {dataset} --data-dir {data_dir}`"
