"""What a folder or zip of images holds, and the lines of config.yaml that make it a dataset."""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from model.data.arrays import moments
from model.data.dataset_info import SPLITS, Split
from model.data.datasets import DATASETS
from model.data.decoding import ImageDecoder, read_picture
from model.data.image_arrays import ArrayFile
from model.data.images_config import ImagesConfig, OwnImages
from model.data.own_images import sort_out, split_images, split_of_array, split_of_folder
from model.data.raw_files import DamagedFile, RawEntry, RawFiles, open_raw
from model.data.sources import DataError
from model.wording import counted

UNNAMED = "none is named: they are split by the seed"
SHOWN = 5  # of each kind of problem, and of sizes
LARGEST_SIZE = 64  # suggested; what the paper trained on


class Findings:
    """What is found image by image."""

    def __init__(self) -> None:
        self.sizes: Counter[tuple[int, int]] = Counter()  # width, height
        self.steps: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.problems: list[str] = []
        self.num_coloured = 0
        self.histogram = np.zeros(256, np.int64)
        self._places: dict[bytes, list[tuple[str, str]]] = {}  # by pixels: split and name

    def add(self, picture: Image.Image, split: str, name: str, steps: Iterable[str]) -> None:
        """Count a decoded image."""
        self.sizes[picture.size] += 1
        self.steps.update(steps)
        self.splits[split] += 1
        pixels = np.asarray(picture)
        digest = hashlib.sha256(f"{picture.mode} {picture.size}".encode() + pixels.tobytes())
        self._places.setdefault(digest.digest(), []).append((split, name))
        rgb = np.asarray(picture.convert("RGB"))
        self.num_coloured += not (rgb == rgb[..., :1]).all()
        # Sampled, so that a photograph of 20 megapixels counts as quickly as a small one.
        step = max(1, math.isqrt(rgb.shape[0] * rgb.shape[1] // 4096))
        self.histogram += np.bincount(rgb[::step, ::step].ravel(), minlength=256)

    @property
    def duplicates(self) -> list[list[tuple[str, str]]]:
        """Images of equal pixels, as (split, name); those in several splits first."""
        groups = [places for places in self._places.values() if len(places) > 1]
        return sorted(groups, key=lambda places: len({split for split, _ in places}) == 1)


def check(place: Path) -> str:
    """Describe the images in a folder or a zip, and say what to write into config.yaml.

    Raises DataError if there is no such folder or zip, or no image in it.
    """
    if not place.exists():
        raise DataError(f"{place}: no such folder or .zip")
    found = Findings()
    with open_raw(place) as files:
        images, arrays = sort_out(files)
        splits = _splits_of_images(images, files, found)
        for entry in images:
            _add_image(entry, splits.get(entry, "in no split"), found)
        for array in arrays:
            _add_array(array, files, found)
        if images and arrays:
            found.problems.append("images and arrays: keep one kind")
        if not found.splits:
            problems = "".join(f"\n  {problem}" for problem in found.problems[:SHOWN])
            raise DataError(f"{place}: no readable images{problems}")
        return "\n".join([*_description(found, files), "", *_config_lines(found, place)])


def _splits_of_images(
    images: list[RawEntry], files: RawFiles, found: Findings
) -> dict[RawEntry, str]:
    if not any(split_of_folder(entry.name) for entry in images):
        return dict.fromkeys(images, UNNAMED)
    try:
        split_images(images, ImagesConfig(), files.place)
    except DataError as error:
        found.problems.append(str(error))
    named = {entry: split_of_folder(entry.name) for entry in images}
    return {entry: "/".join(sorted(names)) for entry, names in named.items() if names}


def _add_image(entry: RawEntry, split: str, found: Findings) -> None:
    steps: list[str] = []
    try:
        picture = read_picture(entry.read(), entry.place, steps)
    except DamagedFile as error:
        found.problems.append(str(error))
        return
    found.add(picture, split, entry.name, steps)


def _add_array(array: ArrayFile, files: RawFiles, found: Findings) -> None:
    own = OwnImages(
        image_size=array.shape[1], image_channels=array.shape[3] if len(array.shape) == 4 else 1
    )
    split: Split | None = split_of_array(array.entry.name, files.place)
    position = 0
    for batch in array.batches(ImageDecoder(own)):
        for image in batch:
            picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
            name = f"{array.entry.name}[{position}]"
            shape = "x".join(map(str, array.shape[1:]))
            found.add(
                picture, split or "no split named: split by the seed", name, [f"array {shape}"]
            )
            position += 1


def _description(found: Findings, files: RawFiles) -> list[str]:
    lines = [f"{files.place}: {counted(found.splits.total(), 'image')}"]
    order: dict[str, int] = {name: position for position, name in enumerate(SPLITS)}
    for split, number in sorted(found.splits.items(), key=lambda item: order.get(item[0], 9)):
        lines.append(f"  split: {split}: {number}")
    if len(found.sizes) > SHOWN:
        widths, heights = zip(*found.sizes, strict=True)
        spans = f"{min(widths)} ... {max(widths)} x {min(heights)} ... {max(heights)}"
        lines.append(f"  sizes: {len(found.sizes)}, {spans}")
    lines += _most(f"  size: {w}x{h}: {n}" for (w, h), n in found.sizes.most_common())
    lines += [f"  read: {step}: {number}" for step, number in found.steps.most_common()]
    grey = found.splits.total() - found.num_coloured
    counts = {"coloured": found.num_coloured, "grey": grey}
    colours = ", ".join(f"{number} {colour}" for colour, number in counts.items() if number)
    lines.append(f"  colour: {colours}")
    for reason, names in files.left_out.items():
        lines.append(f"  left out: {reason}: {len(names)}: {', '.join(names[:SHOWN])}")
    across = [g for g in found.duplicates if len({split for split, _ in g}) > 1]
    within = len(found.duplicates) - len(across)
    if within:
        lines.append(
            f"  equal images within a split: {counted(within, 'group')}, such as "
            + _names(found.duplicates[-1])
        )
    problems = [f"equal images in several splits: {_names(group)}" for group in across]
    lines += _most([f"  problem: {problem}" for problem in found.problems + problems])
    return lines


def _names(group: Sequence[tuple[str, str]]) -> str:
    return ", ".join(name for _, name in group[:SHOWN])


def _most(lines: Iterable[str]) -> list[str]:
    lines = list(lines)
    more = [f"  ... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return lines[:SHOWN] + more


# --- config.yaml -----------------------------------------------------------------------------


def _config_lines(found: Findings, place: Path) -> list[str]:
    """A dataset's entry: a small model, as that of cifar10 or mnist in config.yaml."""
    name = _dataset_name(place)
    options, size = _options(found)
    channels = 3 if found.num_coloured else 1
    mean, std = moments(found.histogram)
    encoder, decoder = towers(size)
    images = f"    images: {{{', '.join(f'{k}: {v}' for k, v in options.items())}}}"
    return [
        f"For config.yaml, once they are data/raw/{name}{place.suffix if place.is_file() else ''}:",
        "datasets:",
        f"  {name}:",
        *([images] if options else []),
        "    model:",
        f"      image_size: {size}",
        f"      image_channels: {channels}",
        "      likelihood: discretised_logistics # or bernoulli, for black and white",
        f"      pixel_mean: {mean:.1f}",
        f"      pixel_std: {max(std, 1.0):.1f}",
        f"      encoder: {encoder}",
        f"      decoder: {decoder}",
        "      width: 32",
        "      zdim: 8",
        "    train:",
        "      batch_size: 32",
        "      learning_rate: 0.001",
        "      ema_rate: 0.999",
        "      gradient_clip: 200.0",
        "      skip_threshold: 400.0",
    ]


def _dataset_name(place: Path) -> str:
    """A name for the dataset: the folder's, as far as a name may be so."""
    name = re.sub(r"[^a-z0-9]+", "-", place.resolve().name.removesuffix(".zip").lower()).strip("-")
    name = name[:50]
    taken = (*DATASETS, "raw", "logs", "")  # raw and logs are folders of data_dir
    return f"my-{name or 'images'}" if name in taken else name


def _options(found: Findings) -> tuple[dict[str, str], int]:
    """The options that the images need, and the size that they come to."""
    smallest = min(min(size) for size in found.sizes)
    options = {}
    if any(width != height for width, height in found.sizes):
        options["crop"] = "center"
    sides = {min(size) for size in found.sizes}
    size = smallest
    if len(sides) > 1 or not _halves(smallest) or smallest > LARGEST_SIZE:
        size = min(LARGEST_SIZE, 2 ** int(math.log2(smallest)))
        options["resize"] = "bilinear"
    if any("cannot be decoded" in problem or "empty file" in problem for problem in found.problems):
        options["unreadable"] = "skip"
    return options, size


def _halves(size: int) -> bool:
    """Whether a size halves down to one that a single step can pool to 1x1."""
    while size % 2 == 0 and size > 4:
        size //= 2
    return size <= 8


def towers(size: int) -> tuple[str, str]:
    """One block per resolution, from the image's halved down to 4 or an odd number, then 1x1."""
    sizes = [size]
    while sizes[-1] % 2 == 0 and sizes[-1] > 4:
        sizes.append(sizes[-1] // 2)
    if sizes[-1] > 1:
        sizes.append(1)
    pairs = list(pairwise(sizes))
    encoder = [text for a, b in pairs for text in (f"{a}x1", f"{a}d{a // b}")] + ["1x1"]
    decoder = ["1x1"] + [text for a, b in reversed(pairs) for text in (f"{a}m{b}", f"{a}x1")]
    return ",".join(encoder), ",".join(decoder)
