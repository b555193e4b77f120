"""Two or more runs beside each other.

The settings in which they differ, their results, and the difference of the test NLL to that of the
first, image by image.
"""

import argparse
from pathlib import Path

from study.compare import find_sides
from study.compare_text import json_of, text_of
from study.place import add_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="+",
        metavar="DATASET/VARIANT[/seedN]",
        help="without seedN: the mean over all seeds; or the folder of a run",
    )
    parser.add_argument("--study", help="default: of several, the one that config.yaml names")
    add_config(parser)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--json", action="store_true", help="the same for programs")


def run(args: argparse.Namespace) -> None:
    sides = find_sides(args.results, args.study, args.runs, args.config)
    print(json_of(sides) if args.json else text_of(sides))
