"""Write the page of a study, one file to look at in a browser."""

import argparse
from pathlib import Path

from study.page.output import Files
from study.page.write import write_page
from study.planning.ablation import Ablation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ablations", type=Path, nargs="+", required=True, metavar="FILE.yaml")
    parser.add_argument("--study-dir", type=Path, required=True, help="results/STUDY")


def run(args: argparse.Namespace) -> None:
    study_dir = args.study_dir
    files = Files(tables=study_dir / "tables", figures=study_dir / "figures")
    write_page(study_dir, [Ablation.load(path) for path in args.ablations], study_dir, files)
