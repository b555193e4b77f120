"""Fetch, preprocess and load the datasets: `python -m model.data --help`.

A new dataset is one function that makes its three arrays and one entry in DATASETS, and, if its
files are downloaded, one `Source` in model/sources.py.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from model import sources
from model.files import replacing
from model.sources import DataError, Source, sha256_of

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
Images = NDArray[np.uint8]  # [N, H, W, C], intensities 0..255

SPLIT_SEED = 0
IDX_MAGIC_IMAGES = 0x00000803  # unsigned bytes, three dimensions


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """How a dataset is made: its provenance and the function that returns its arrays."""

    name: str
    version: str
    source: str
    licence: str
    split_description: str
    make: Callable[[Path], dict[Split, Images]]  # from the folder of its verified raw files
    raw: Source | None = None  # None: embedded in an installed package, nothing to fetch


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


# --- making the arrays, one function per dataset ---------------------------------------------


def make_digits(_raw: Path) -> dict[Split, Images]:
    """Return scikit-learn's 8x8 digits, intensities 0..16 scaled to 0..255."""
    from sklearn.datasets import load_digits

    intensities = load_digits().images  # [1797, 8, 8], float64 of 0..16
    images = np.round(intensities * 255 / 16).astype(np.uint8)[..., None]  # [1797, 8, 8, 1]
    order = _permutation(len(images))
    train, valid, test = np.split(images[order], [1297, 1497])
    return {"train": train, "valid": valid, "test": test}


def make_patches(_raw: Path) -> dict[Split, Images]:
    """Return 16x16 colour patches of scikit-learn's two sample photographs."""
    from sklearn.datasets import load_sample_images

    stripes = [cut_stripes(photograph) for photograph in load_sample_images().images]
    patches = {split: np.concatenate([stripe[split] for stripe in stripes]) for split in SPLITS}
    # Shuffled, so that the first n images of a split are a sample of both photographs.
    return {split: patches[split][_permutation(len(patches[split]))] for split in SPLITS}


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


def make_mnist(raw: Path) -> dict[Split, Images]:
    """Return MNIST zero-padded from 28x28 to 32x32, 5000 of the train file held out for valid."""
    train_file = pad_to_32(read_idx_images(raw / "train-images-idx3-ubyte.gz"))
    test_file = pad_to_32(read_idx_images(raw / "t10k-images-idx3-ubyte.gz"))
    train, valid = np.split(train_file[_permutation(len(train_file))], [-5000])
    return {"train": train, "valid": valid, "test": test_file}


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


def pad_to_32(images: NDArray[np.uint8]) -> Images:
    """Centre [N, 28, 28] in zeros, [N, 32, 32, 1], so that the resolution halves down to 1x1."""
    return np.pad(images, ((0, 0), (2, 2), (2, 2)))[..., None]


def _permutation(num_images: int) -> NDArray[np.int64]:
    # RandomState, because NumPy keeps its stream for ever; that of default_rng may change.
    return np.random.RandomState(SPLIT_SEED).permutation(num_images)


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
        Dataset(
            name="mnist",
            version="LeCun et al. 1998, padded to 32x32",
            source=sources.MNIST.origin,
            licence=sources.MNIST.licence,
            split_description="train file permuted with seed "
            f"{SPLIT_SEED}: last 5000 valid, the others train; official test set in its order",
            make=make_mnist,
            raw=sources.MNIST,
        ),
    )
}


# --- preprocessing: arrays on disk -----------------------------------------------------------


def preprocess(dataset: Dataset, data_dir: str | Path) -> DatasetInfo:
    """Write `{data_dir}/{dataset}/{train,valid,test}.npy`, and last `dataset.json`.

    Raises DataError if the raw files are missing or are not the published ones.
    """
    if dataset.raw is not None:
        sources.verify(dataset.raw, data_dir)
    arrays = dataset.make(sources.raw_dir(data_dir, dataset.name))
    folder = Path(data_dir) / dataset.name
    # dataset.json says that the arrays are complete: it must not outlive the ones it describes.
    (folder / "dataset.json").unlink(missing_ok=True)
    for split in SPLITS:
        with replacing(folder / f"{split}.npy") as temporary:
            np.save(temporary, np.ascontiguousarray(arrays[split]))
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
    )
    with replacing(folder / "dataset.json") as temporary:
        temporary.write_text(json.dumps(asdict(info), indent=2) + "\n")
    return info


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


def load_info(data_dir: str | Path, dataset: str) -> DatasetInfo:
    """Read `{data_dir}/{dataset}/dataset.json`; raise DataError if missing or unreadable."""
    path = Path(data_dir) / dataset / "dataset.json"
    if not path.is_file():
        raise DataError(f"{path}: no such file; {_preprocess_hint(data_dir, dataset)}")
    try:
        return DatasetInfo(**json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path}: {error}; {_preprocess_hint(data_dir, dataset)}") from error


def load_images(data_dir: str | Path, dataset: str, split: Split) -> Images:
    """Map a split's array, uint8 [N, H, W, C], into memory read-only.

    Raises DataError if it is missing, damaged, or differs from `dataset.json` in dtype or shape.
    """
    info = load_info(data_dir, dataset)
    path = Path(data_dir) / dataset / f"{split}.npy"
    hint = _preprocess_hint(data_dir, dataset)
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
    return images


def _preprocess_hint(data_dir: str | Path, dataset: str) -> str:
    return f"run `python -m model.data preprocess {dataset} --data-dir {data_dir}`"


# --- the command -----------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch or preprocess a dataset; return the exit code."""
    arguments = _parse(argv)
    dataset = DATASETS[arguments.dataset]
    try:
        if arguments.command == "fetch":
            _fetch(dataset, arguments.data_dir, arguments.mirror)
        else:
            _preprocess(dataset, arguments.data_dir)
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _fetch(dataset: Dataset, data_dir: Path, mirror: Path | None) -> None:
    if dataset.raw is None:
        raise DataError(
            f"{dataset.name} is embedded in scikit-learn, there is nothing to fetch; "
            f"{_preprocess_hint(data_dir, dataset.name)}"
        )
    folder = sources.fetch(dataset.raw, data_dir, mirror)
    print(f"{dataset.name}: {len(dataset.raw.files)} files verified in {folder}")


def _preprocess(dataset: Dataset, data_dir: Path) -> None:
    info = preprocess(dataset, data_dir)
    counts = ", ".join(f"{split} {info.num_images[split]}" for split in SPLITS)
    print(
        f"{info.name}: {counts} images of {info.image_size}x{info.image_size}"
        f"x{info.image_channels} in {data_dir / info.name}"
    )


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m model.data", description="Fetch and preprocess the datasets."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fetch = commands.add_parser(
        "fetch", help="download the published files, or copy them from a mirror, and verify them"
    )
    fetch.add_argument(
        "dataset", choices=DATASETS, help="digits and patches are embedded: preprocess only"
    )
    fetch.add_argument(
        "--mirror",
        type=Path,
        metavar="DIR",
        help="local directory holding DATASET/FILE or FILE; the network is not used",
    )
    preprocess_command = commands.add_parser(
        "preprocess", help="write train.npy, valid.npy, test.npy and dataset.json"
    )
    preprocess_command.add_argument("dataset", choices=DATASETS)
    for command in (fetch, preprocess_command):
        command.add_argument(
            "--data-dir", type=Path, required=True, metavar="DIR", help="root of all datasets"
        )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
