"""Which datasets there are, and how the images of each are made from its files.

A new dataset is one function that yields its images and one entry in DATASETS, and, if its files
are downloaded, one `Source` in model/data/published.py.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data import published
from model.data.archives import (
    Images,
    decode,
    npz_batches,
    read_cifar10_batch,
    read_idx_images,
    tar_images,
)
from model.data.dataset_info import SPLITS, Split
from model.data.sources import DataError, Source, raw_dir
from model.validation import nearest

# A dataset's images in the order of each split; the large ones never hold a whole split.
Batches = Iterator[tuple[Split, Images]]

SPLIT_SEED = 0
CIFAR10_SPLIT_SEED = 11172018
IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png")
CELEBA_SIZE = (178, 218)  # width, height
CELEBA_CROP = (15, 40, 163, 188)  # left, upper, right, lower: 148x148


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """How a dataset is made: its provenance and the function that makes its images."""

    name: str
    version: str
    source: str
    licence: str
    split_description: str
    make: Callable[[Path], Batches]  # from the folder of its verified raw files
    raw: Source | None = None  # None: nothing to fetch, embedded in a package or the user's own
    is_own: bool = False  # made of a user's own files


# --- making the images, one function per dataset ---------------------------------------------


def make_digits(_raw: Path) -> Batches:
    """Make scikit-learn's 8x8 digits, intensities 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits

    intensities = load_digits().images  # [1797, 8, 8], float64 of 0..16
    images = np.round(intensities * 255 / 16).astype(np.uint8)[..., None]  # [1797, 8, 8, 1]
    order = _permutation(len(images))
    train, valid, test = np.split(images[order], [1297, 1497])
    yield from (("train", train), ("valid", valid), ("test", test))


def make_patches(_raw: Path) -> Batches:
    """Make 16x16 colour patches of scikit-learn's two sample photographs."""
    from sklearn.datasets import load_sample_images

    stripes = [cut_stripes(photograph) for photograph in load_sample_images().images]
    for split in SPLITS:
        patches = np.concatenate([stripe[split] for stripe in stripes])
        # Shuffled, so that the first n images of a split are a sample of both photographs.
        yield split, patches[_permutation(len(patches))]


def cut_stripes(
    photograph: NDArray[Any], size: int = 16, stride: int = 8
) -> dict[Split, NDArray[Any]]:
    """Cut patches [N, size, size, C] from [H, W, C]: train the left 70 %, valid 15 %, test 15 %.

    Patches overlap within a split but never across splits: each stays within its vertical stripe.
    """
    width = photograph.shape[1]
    left, middle, right = np.split(photograph, [width * 70 // 100, width * 85 // 100], axis=1)

    def cut(stripe: NDArray[Any]) -> NDArray[Any]:
        windows = np.lib.stride_tricks.sliding_window_view(stripe, (size, size), axis=(0, 1))
        windows = windows[::stride, ::stride]  # [rows, columns, C, size, size]
        channels_last = np.moveaxis(windows, 2, -1)  # [rows, columns, size, size, C]
        return channels_last.reshape(-1, size, size, photograph.shape[2])

    return {"train": cut(left), "valid": cut(middle), "test": cut(right)}


def make_mnist(raw: Path) -> Batches:
    """Make MNIST, zero-padded from 28x28 to 32x32, 5000 of the train file held out for valid."""
    train_file = pad_to_32(read_idx_images(raw / "train-images-idx3-ubyte.gz"))
    test_file = pad_to_32(read_idx_images(raw / "t10k-images-idx3-ubyte.gz"))
    train, valid = np.split(train_file[_permutation(len(train_file))], [-5000])
    yield from (("train", train), ("valid", valid), ("test", test_file))


def pad_to_32(images: NDArray[np.uint8]) -> Images:
    """Centre [N, 28, 28] in zeros, [N, 32, 32, 1], so that the resolution halves down to 1x1."""
    return np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None]


def make_cifar10(raw: Path) -> Batches:
    """Make CIFAR-10 with the validation set of openai/vdvae."""
    from sklearn.model_selection import train_test_split

    with tarfile.open(raw / "cifar-10-python.tar.gz") as archive:
        batches = [read_cifar10_batch(archive, f"data_batch_{n}") for n in range(1, 6)]
        test = read_cifar10_batch(archive, "test_batch")
    train, valid = train_test_split(
        np.concatenate(batches), test_size=5000, random_state=CIFAR10_SPLIT_SEED
    )
    yield from (("train", train), ("valid", valid), ("test", test))


def make_imagenet(raw: Path, size: int, num_train: int = 1_281_167) -> Batches:
    """Make the new version of downsampled ImageNet: train in one file or in parts, by name."""
    parts = sorted(raw.glob(f"Imagenet{size}_train*_npz.zip"))
    train = chain.from_iterable(npz_batches(part, size) for part in parts)
    yield from hold_out(train, num_train)
    for images in npz_batches(raw / f"Imagenet{size}_val_npz.zip", size):
        yield "test", images


def make_imagenet_old(raw: Path, size: int, num_train: int = 1_281_149) -> Batches:
    """Make the old version of downsampled ImageNet."""
    yield from hold_out(tar_images(raw / f"train_{size}x{size}.tar", size), num_train)
    for images in tar_images(raw / f"valid_{size}x{size}.tar", size):
        yield "test", images


def hold_out(batches: Iterable[Images], num_images: int, num_valid: int = 5000) -> Batches:
    """Split a stream: valid is the last `num_valid` of a seeded permutation, train the others.

    Train stays in the stream's order, so that memory holds a batch and valid; valid is in the
    permutation's, so that its first n images are a sample.  Raises DataError at another number
    of images.
    """
    place = np.full(num_images, -1)  # in valid; -1: in train
    place[_permutation(num_images)[-num_valid:]] = np.arange(num_valid)
    valid = np.empty(0, np.uint8)
    position = 0
    for images in batches:
        places = place[position : position + len(images)]
        position += len(images)
        if position > num_images:
            break
        if not len(valid):
            valid = np.empty((num_valid, *images.shape[1:]), np.uint8)
        is_valid = places >= 0
        valid[places[is_valid]] = images[is_valid]
        yield "train", images[~is_valid]
    if position != num_images:
        more = " or more" if position > num_images else ""
        raise DataError(
            f"the train files hold {position}{more} images, expected {num_images}: "
            "these are not the published ones"
        )
    yield "valid", valid


def make_celeba64(raw: Path) -> Batches:
    """Make CelebA as NVAE and Efficient-VDVAE do: a square of the face, resized to 64x64."""
    lines = (raw / "list_eval_partition.txt").read_text().splitlines()
    partition = dict(line.split() for line in lines if line)  # 000001.jpg: 0, 1 or 2
    path = raw / "img_align_celeba.zip"
    with ZipFile(path) as archive:
        for split, number in zip(SPLITS, "012", strict=True):
            for name in sorted(name for name in partition if partition[name] == number):
                with archive.open(f"img_align_celeba/{name}") as stream:
                    portrait = decode(stream, CELEBA_SIZE, f"{path}: {name}")
                face = portrait.crop(CELEBA_CROP).resize((64, 64), Image.Resampling.BILINEAR)
                yield split, np.asarray(face)[None]


def make_own(raw: Path) -> Batches:
    """Make a user's own dataset of the images under a folder, each split permuted.

    A folder on an image's way names its split; without images in `valid`, a tenth of train is held
    out. Raises DataError if a split is empty, or for an image in no split, broken, not square or
    not of the size of the others.
    """
    paths: dict[Split, list[Path]] = {split: [] for split in SPLITS}
    for path in sorted(raw.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            named = [s for s in SPLITS if s in path.relative_to(raw).parent.parts]
            if len(named) != 1:
                raise DataError(f"{path}: move it into one of the folders train, valid, test")
            paths[named[0]].append(path)
    # Permuted, so that the first n images of a split are a sample of all folders.
    paths = {split: [paths[split][i] for i in _permutation(len(paths[split]))] for split in SPLITS}
    if not paths["valid"]:
        num_valid = len(paths["train"]) // 10
        paths["valid"], paths["train"] = paths["train"][:num_valid], paths["train"][num_valid:]
    if empty := [split for split in SPLITS if not paths[split]]:
        raise DataError(
            f"{raw}: no images for {', '.join(empty)}; put them into a folder of that name"
        )
    first = min(paths["train"])
    with Image.open(first) as picture:
        size = picture.size
    if size[0] != size[1]:
        raise DataError(f"{first}: {size} pixels (width, height); crop all to squares")
    for split in SPLITS:
        for path in paths[split]:
            with path.open("rb") as stream:
                yield split, np.asarray(decode(stream, size, str(path)))[None]


def _permutation(num_images: int) -> NDArray[np.int64]:
    # RandomState, because NumPy keeps its stream for ever; that of default_rng may change.
    return np.random.RandomState(SPLIT_SEED).permutation(num_images)


def _fetched(
    raw: Source, *, version: str, split_description: str, make: Callable[[Path], Batches]
) -> Dataset:
    return Dataset(
        name=raw.dataset,
        version=version,
        source=raw.origin,
        licence=raw.licence,
        split_description=split_description,
        make=make,
        raw=raw,
    )


def _imagenet(raw: Source, version: str, make: Callable[[Path], Batches]) -> Dataset:
    return _fetched(
        raw,
        version=version,
        split_description=f"train files permuted with seed {SPLIT_SEED}: last 5000 valid, the "
        "others train, in the files' order; official validation set as test",
        make=make,
    )


DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            name="digits",
            version="scikit-learn digits 8x8",
            source="Alpaydin, Kaynak: Optical Recognition of Handwritten Digits (UCI, 1998), "
            "test set, as embedded in scikit-learn",
            licence="CC BY 4.0",
            split_description=f"1297/200/300 of 1797 images, permuted with seed {SPLIT_SEED}",
            make=make_digits,
        ),
        Dataset(
            name="patches",
            version="scikit-learn sample photographs, 16x16 patches, stride 8",
            source="china.jpg (danielbuechele) and flower.jpg (vultilion), flickr.com, "
            "as embedded in scikit-learn",
            licence="CC BY 2.0",
            split_description="disjoint vertical stripes of each photograph: left 70 % train, "
            f"next 15 % valid, right 15 % test; each split permuted with seed {SPLIT_SEED}",
            make=make_patches,
        ),
        _fetched(
            published.MNIST,
            version="LeCun et al. 1998, padded to 32x32",
            split_description="train file permuted with seed "
            f"{SPLIT_SEED}: last 5000 valid, the others train; official test set in its order",
            make=make_mnist,
        ),
        _fetched(
            published.CIFAR10,
            version="Krizhevsky 2009",
            split_description="train batches split by scikit-learn's train_test_split("
            f"test_size=5000, random_state={CIFAR10_SPLIT_SEED}), as openai/vdvae's; "
            "official test set in its order",
            make=make_cifar10,
        ),
        _imagenet(
            published.IMAGENET32,
            "new version: Chrabaszcz et al. 2017, box filter, 32x32",
            partial(make_imagenet, size=32),
        ),
        _imagenet(
            published.IMAGENET64,
            "new version: Chrabaszcz et al. 2017, box filter, 64x64",
            partial(make_imagenet, size=64),
        ),
        _imagenet(
            published.IMAGENET32_OLD,
            "old version: van den Oord et al. 2016, 32x32",
            partial(make_imagenet_old, size=32),
        ),
        _imagenet(
            published.IMAGENET64_OLD,
            "old version: van den Oord et al. 2016, 64x64",
            partial(make_imagenet_old, size=64),
        ),
        _fetched(
            published.CELEBA64,
            version=f"Liu et al. 2015, aligned, crop {CELEBA_CROP}, resized to 64x64 bilinearly",
            split_description="official partition, each split in the order of file names",
            make=make_celeba64,
        ),
    )
}


def dataset_named(name: str, data_dir: str | Path) -> Dataset:
    """Return one of DATASETS, or a user's own, whose images lie under `{data_dir}/raw/{name}`.

    Raises DataError if there is neither.
    """
    folder = raw_dir(data_dir, name)
    if name in DATASETS:
        return DATASETS[name]
    if not folder.is_dir():
        raise DataError(
            f"unknown dataset {name!r}{nearest(name, DATASETS)}; images of your own belong into "
            f"{folder}, in folders train, valid and test"
        )
    return Dataset(
        name=name,
        version="own images",
        source="images of the user's own",
        licence="not stated",
        split_description="folders train, valid and test; without valid, a tenth of train; "
        f"each permuted with seed {SPLIT_SEED}",
        make=make_own,
        is_own=True,
    )
