"""Fetch and preprocess the datasets: `python -m model.data --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from model.data import sources
from model.data.arrays import preprocess
from model.data.dataset_info import SPLITS, preprocess_hint
from model.data.datasets import DATASETS, Dataset, dataset_named
from model.data.sources import DataError


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch or preprocess a dataset; return the exit code."""
    arguments = _parse(argv)
    try:
        dataset = dataset_named(arguments.dataset, arguments.data_dir)
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
            f"{preprocess_hint(data_dir, dataset.name)}"
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
    preprocess_command.add_argument(
        "dataset", help=f"{', '.join(DATASETS)}, or a name of your own for images in DIR/raw/NAME"
    )
    for command in (fetch, preprocess_command):
        command.add_argument(
            "--data-dir", type=Path, required=True, metavar="DIR", help="root of all datasets"
        )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
