"""Write a table and a figure of one ablation."""

import argparse
from pathlib import Path

from study import registry
from study.outputs import write_ablation_output
from study.planning.ablation import Ablation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", choices=registry.ABLATION_OUTPUTS)
    parser.add_argument(
        "--ablation",
        type=Path,
        required=True,
        metavar="FILE.yaml",
        help="results/STUDY/ablations/ABLATION.yaml",
    )
    parser.add_argument("--study-dir", type=Path, required=True, help="results/STUDY")


def run(args: argparse.Namespace) -> None:
    write_ablation_output(args.output, Ablation.load(args.ablation), args.study_dir)
