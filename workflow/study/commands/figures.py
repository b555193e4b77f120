"""Draw the figures of a study as a whole."""

import argparse
from pathlib import Path

from study.outputs import write_study_figures
from study.planning.ablation import Ablation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runs", choices=["baselines", "probed"], default="baselines", help="drawn from which"
    )
    parser.add_argument("--ablations", type=Path, nargs="+", required=True, metavar="FILE.yaml")
    parser.add_argument("--study-dir", type=Path, required=True, help="results/STUDY")


def run(args: argparse.Namespace) -> None:
    ablations = [Ablation.load(path) for path in args.ablations]
    write_study_figures(ablations, args.study_dir, args.runs)
