"""Fetch and preprocess the datasets: `python -m model.data --help`."""

from __future__ import annotations

if __name__ == "__main__":  # before the imports that take seconds
    from model.stop_signals import end_at_once

    end_at_once()

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from model.config import ConfigError
from model.data import sources
from model.data.arrays import preprocess
from model.data.check import check
from model.data.dataset_info import SPLITS, preprocess_hint
from model.data.datasets import DATASETS, Dataset, dataset_named
from model.data.images_config import ImagesConfig, OwnImages
from model.data.sources import DataError
from model.stop_signals import ending_quietly
from model.wording import counted

_TYPES: dict[str, Callable[[str], float]] = {"valid": float, "test": float, "seed": int}


def main(argv: Sequence[str] | None = None) -> int:
    """Fetch or preprocess a dataset; return the exit code."""
    arguments = _parse(argv)
    try:
        with ending_quietly():
            _run(arguments)
    except (DataError, ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _run(arguments: argparse.Namespace) -> None:
    if arguments.command == "fetch":
        dataset = dataset_named(arguments.dataset, arguments.data_dir)
        _fetch(dataset, arguments.data_dir, arguments.mirror)
    elif arguments.command == "check":
        _say(check(arguments.place))
    else:
        own = _own_images(arguments)
        dataset = dataset_named(arguments.dataset, arguments.data_dir, own, _say)
        _preprocess(dataset, arguments.data_dir)


def _fetch(dataset: Dataset, data_dir: Path, mirror: Path | None) -> None:
    if dataset.raw is None:
        raise DataError(
            f"{dataset.name} is embedded in scikit-learn, there is nothing to fetch; "
            f"{preprocess_hint(data_dir, dataset.name)}"
        )
    folder = sources.fetch(dataset.raw, data_dir, mirror)
    print(f"{dataset.name}: {counted(len(dataset.raw.files), 'file')} verified in {folder}")


def _preprocess(dataset: Dataset, data_dir: Path) -> None:
    info = preprocess(dataset, data_dir)
    counts = ", ".join(f"{split} {info.num_images[split]}" for split in SPLITS)
    print(
        f"{info.name}: {counts} images of {info.image_size}x{info.image_size}"
        f"x{info.image_channels} in {data_dir / info.name}"
    )
    if info.images is not None:
        for step, number in info.images["steps"].items():
            print(f"  {counted(number, 'image')}: {step}")
        for reason, files in info.images["left_out"].items():
            print(f"  {counted(files['files'], 'file')} left out: {reason}")


def _say(line: str) -> None:
    """Print a line, whatever bytes the name of a file in it is made of."""
    print(line.encode("utf-8", "backslashreplace").decode())


def _own_images(arguments: argparse.Namespace) -> OwnImages | None:
    """The options for images of one's own; None without any."""
    names = [field.name for field in fields(ImagesConfig)]
    given = {n: v for n in names if (v := getattr(arguments, n)) is not None}
    size = {n: v for n in ("image_size", "image_channels") if (v := getattr(arguments, n))}
    if not given and not size:
        return None
    if given.get("resize", "none") != "none" and "image_size" not in size:
        raise DataError("--resize needs --image_size, the size of the model's images")
    return OwnImages(config=ImagesConfig(**given), **size)


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
    own = preprocess_command.add_argument_group(
        "images of your own", "as `images` and `model` of the dataset in config.yaml say"
    )
    own.add_argument("--image_size", type=int, help="of the model; default: that of the images")
    own.add_argument("--image_channels", type=int, choices=(1, 3), help="of the model; default: 3")
    for field in fields(ImagesConfig):
        hint = get_type_hints(ImagesConfig)[field.name]
        own.add_argument(
            f"--{field.name}",
            choices=get_args(hint) if get_origin(hint) is Literal else None,
            type=_TYPES.get(field.name, str),
            help=f"default: {field.default}",
        )
    check_command = commands.add_parser(
        "check", help="say what a folder or zip of images holds, and what to write into config.yaml"
    )
    check_command.add_argument("place", type=Path, metavar="DIR", help="a folder, or a .zip")
    for command in (fetch, preprocess_command):
        command.add_argument(
            "--data-dir", type=Path, required=True, metavar="DIR", help="root of all datasets"
        )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
