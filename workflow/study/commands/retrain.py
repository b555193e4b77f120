"""Rename the folders of runs, so that the next snakemake trains them from scratch.

Nothing is deleted.
"""

import argparse
from pathlib import Path

from study.retrain import set_runs_aside


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", required=True)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("runs", nargs="+", metavar="DATASET/VARIANT[/seedN]")


def run(args: argparse.Namespace) -> None:
    for aside in set_runs_aside(args.results / args.study, args.runs):
        print(f"set aside: {aside}")
    print("snakemake trains these runs from scratch now")
