"""A user's own images: which file belongs to which split, and the arrays that are made of them."""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.archives import Images
from model.data.dataset_info import SPLITS, Split
from model.data.decoding import SUFFIXES, ImageDecoder, is_image
from model.data.image_arrays import ArrayFile, is_array, is_labels
from model.data.images_config import ImagesConfig, OwnImages
from model.data.raw_files import DamagedFile, RawEntry, RawFiles, open_raw
from model.data.sources import DataError

SPLIT_NAMES: dict[str, Split] = {
    "train": "train", "training": "train",
    "valid": "valid", "validation": "valid", "val": "valid",
    "test": "test", "testing": "test", "t10k": "test",
}  # fmt: skip
NAMED_AT_ONCE = 10  # files named in dataset.json for each reason; the log names all


class OwnDataset:
    """Makes the images of one folder or zip, and records what it did."""

    def __init__(self, own: OwnImages, say: Callable[[str], None] = lambda line: None) -> None:
        self.own = own
        self.decoder = ImageDecoder(own)
        self.files: RawFiles | None = None
        self._say = say

    def make(self, place: Path) -> Iterator[tuple[Split, Images]]:
        """Yield batches of the splits; raises DataError, which names the file and the option."""
        with open_raw(place) as self.files:
            images, arrays = sort_out(self.files)
            if arrays and images:
                raise DataError(
                    f"{place}: holds arrays ({arrays[0].entry.name}) and images "
                    f"({images[0].name}); keep one kind"
                )
            if arrays:
                yield from self._of_arrays(arrays)
            elif images:
                yield from self._of_images(images)
            else:
                raise DataError(f"{place}: no images{_archive_hint(self.files)}")
            for reason, names in self.files.left_out.items():
                for name in names:
                    self._say(f"left out: {name}: {reason}")

    def record(self) -> dict[str, Any]:
        """What `dataset.json` says: the options, what was done to the images, what is left out."""
        left_out = self.files.left_out if self.files is not None else {}
        return {
            "options": self.own.record(),
            "steps": dict(sorted(self.decoder.steps.items())),
            "left_out": {
                reason: {"files": len(names), "first": names[:NAMED_AT_ONCE]}
                for reason, names in left_out.items()
            },
        }

    def _of_images(self, entries: list[RawEntry]) -> Iterator[tuple[Split, Images]]:
        assert self.files is not None
        splits = split_images(entries, self.own.config, self.files.place)
        num_made = dict.fromkeys(SPLITS, 0)
        if self.own.image_size is None:
            # So that a message of sizes that differ names the first file as the one that is right.
            first = min(splits["train"], key=lambda entry: entry.path)
            with suppress(DamagedFile):
                self.decoder.expect_size_of(first.read(), first.place)
        for split in SPLITS:
            for entry in splits[split]:
                try:
                    pixels = self.decoder.decode(entry.read(), entry.place)
                except DamagedFile as error:
                    if self.own.config.unreadable == "error":
                        raise DataError(
                            f"{error}; replace or remove it, or set `unreadable: skip` in `images` "
                            "of the dataset in config.yaml (--unreadable=skip)"
                        ) from error
                    reason = str(error).removeprefix(f"{entry.place}: ")
                    self.files.leave_out(entry.name, reason)
                    continue
                num_made[split] += 1
                yield split, pixels[None]
        if empty := [split for split in SPLITS if not num_made[split]]:
            raise DataError(f"{self.files.place}: no readable image for {', '.join(empty)}")

    def _of_arrays(self, arrays: list[ArrayFile]) -> Iterator[tuple[Split, Images]]:
        assert self.files is not None
        of_splits: dict[Split, list[ArrayFile]] = {split: [] for split in SPLITS}
        pool: list[ArrayFile] = []  # in no split
        for array in arrays:
            split = split_of_array(array.entry.name, self.files.place)
            (pool if split is None else of_splits[split]).append(array)
        config = self.own.config
        if not pool:
            _require_splits(of_splits, self.files.place)
            pool = of_splits.pop("train")
        elif len(pool) < len(arrays):
            raise DataError(
                f"{pool[0].entry.place}: name it after its split, such as train.npy, as the others"
            )
        else:
            of_splits = {}
        num_images = sum(array.num_images for array in pool)
        held_out: dict[Split, int] = {
            split: config.num_held_out(split, num_images)
            for split in ("test", "valid")
            if not of_splits.get(split)
        }
        _check_held_out(held_out, num_images, self.files.place)
        yield from _hold_out(self._batches(pool), num_images, held_out, config.seed)
        for split, files in of_splits.items():
            for images in self._batches(files):
                yield split, images

    def _batches(self, arrays: list[ArrayFile]) -> Iterator[Images]:
        for array in arrays:
            yield from array.batches(self.decoder)


def sort_out(files: RawFiles) -> tuple[list[RawEntry], list[ArrayFile]]:
    """The image files and the array files; the others are counted as left out."""
    images, arrays = [], []
    for entry in files.entries:
        name = entry.path.name
        if is_labels(name):
            files.leave_out(entry.name, "labels")
        elif is_array(name):
            arrays.append(ArrayFile(entry))
        elif _is_image(entry):
            images.append(entry)
        else:
            files.leave_out(entry.name, "no image that Pillow reads")
    return images, arrays


def _is_image(entry: RawEntry) -> bool:
    """By its name, which a damaged image has as well; without a telling one, by its beginning."""
    suffix = entry.path.suffix.lower()
    if suffix in SUFFIXES:
        return True
    # Nothing is left out that calls itself an image: decoding it will say what is wrong.
    kind = mimetypes.guess_type(entry.path.name.lower())[0] or ""
    if kind.startswith("image/"):
        return True
    return not kind and bool(entry.size_bytes) and is_image(entry.read())


def split_images(
    entries: list[RawEntry], config: ImagesConfig, place: Path
) -> dict[Split, list[RawEntry]]:
    """The images of each split, permuted; held out of the others where no folder names them.

    Raises DataError for an image in no split or in two, and for a split without images.
    """
    splits: dict[Split, list[RawEntry]] = {split: [] for split in SPLITS}
    named = [(entry, split_of_folder(entry.name)) for entry in entries]
    unnamed = [entry for entry, names in named if not names]
    if len(unnamed) == len(entries):
        splits["train"] = entries
    else:
        for entry, names in named:
            if len(names) != 1:
                more = f" (and {len(unnamed) - 1} more)" if not names and unnamed[1:] else ""
                raise DataError(
                    f"{entry.place}{more}: move it into one of the folders train, valid, test"
                )
            splits[next(iter(names))].append(entry)
        _require_splits(splits, place)
    # Permuted, so that the first n images of a split are a sample of all folders.
    for split in SPLITS:
        order = permutation(len(splits[split]), config.seed)
        splits[split] = [splits[split][i] for i in order]
    num_images = len(splits["train"])
    held_out: dict[Split, int] = {
        split: config.num_held_out(split, num_images)
        for split in ("test", "valid")
        if not splits[split]
    }
    _check_held_out(held_out, num_images, place)
    for split, number in held_out.items():
        splits[split], splits["train"] = splits["train"][:number], splits["train"][number:]
    return splits


def split_of_folder(name: str) -> frozenset[Split]:
    """The splits that the folders on a file's way name."""
    return _named_splits(name.rpartition("/")[0])


@cache  # one set for all files of a folder, of which there may be millions
def _named_splits(folder: str) -> frozenset[Split]:
    parts = folder.lower().split("/")
    return frozenset(SPLIT_NAMES[part] for part in parts if part in SPLIT_NAMES)


def split_of_array(name: str, place: Path) -> Split | None:
    """The split that the name of an array file says, or that of a folder on its way."""
    words = re.split(r"[^a-z0-9]+", name.rpartition("/")[2].lower())
    names = {SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES} or split_of_folder(name)
    if len(names) > 1:
        raise DataError(f"{place}: {name} names more than one split")
    return next(iter(names), None)


def _require_splits(splits: Mapping[Split, Sequence[object]], place: Path) -> None:
    if empty := [split for split in SPLITS if split != "valid" and not splits[split]]:
        raise DataError(
            f"{place}: no images for {', '.join(empty)}; put them into a folder of that name "
            "(or all images into no such folder: then they are split by the seed)"
        )


def _check_held_out(held_out: dict[Split, int], num_images: int, place: Path) -> None:
    if sum(held_out.values()) >= num_images or not all(held_out.values()):
        sizes = ", ".join(f"{number} for {split}" for split, number in held_out.items())
        raise DataError(
            f"{place}: {num_images} images cannot be split ({sizes}); set `valid` and `test` in "
            "`images` of the dataset in config.yaml (--valid, --test)"
        )


def _hold_out(
    batches: Iterator[Images], num_images: int, held_out: dict[Split, int], seed: int
) -> Iterator[tuple[Split, Images]]:
    """Split a stream: train in its order, the others in that of a permutation."""
    order = permutation(num_images, seed)
    places: dict[Split, NDArray[np.int64]] = {}
    start = 0
    for split, number in held_out.items():
        places[split] = np.full(num_images, -1)
        places[split][order[start : start + number]] = np.arange(number)
        start += number
    kept: dict[Split, Images] = {}
    position = 0
    for images in batches:
        rest = np.ones(len(images), bool)
        for split, place in places.items():
            here = place[position : position + len(images)]
            if split not in kept:
                kept[split] = np.empty((held_out[split], *images.shape[1:]), np.uint8)
            kept[split][here[here >= 0]] = images[here >= 0]
            rest &= here < 0
        position += len(images)
        yield "train", images[rest]
    yield from kept.items()


def permutation(num_images: int, seed: int) -> NDArray[np.int64]:
    """A permutation that stays the same for ever."""
    # RandomState, because NumPy keeps its stream for ever; that of default_rng may change.
    return np.random.RandomState(seed).permutation(num_images)


def _archive_hint(files: RawFiles) -> str:
    """What to do if there is an archive instead of images."""
    names = [name for names in files.left_out.values() for name in names]
    archives = [name for name in names if name.endswith((".zip", ".tar", ".tar.gz", ".tgz"))]
    if not archives:
        return ""
    return f", but {archives[0]}; unpack it, or move a zip to {files.place.with_suffix('.zip')}"
