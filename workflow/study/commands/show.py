"""Print a table: `runs`, or an ablation's by its name.

A name that is not there is answered with those that are.
"""

import argparse
from pathlib import Path

from study.show import find_study, text_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", help="default: the only study under --results")
    parser.add_argument("--table", default="runs", metavar="NAME", help="default: runs")
    parser.add_argument("--results", type=Path, default=Path("results"))


def run(args: argparse.Namespace) -> None:
    print(text_of(find_study(args.results, args.study), args.table), end="")
