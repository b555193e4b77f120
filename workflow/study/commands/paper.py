"""Write the paper of a study, a PDF to read or to print."""

import argparse
from pathlib import Path

from study.page.output import Files
from study.paper.write import write_paper
from study.planning.ablation import Ablation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--ablations", type=Path, nargs="+", required=True, metavar="FILE.yaml")
    parser.add_argument("--study-dir", type=Path, required=True, help="results/STUDY")


def run(args: argparse.Namespace) -> None:
    study_dir = args.study_dir
    files = Files(tables=study_dir / "tables", figures=study_dir / "figures")
    write_paper(study_dir, [Ablation.load(path) for path in args.ablations], study_dir, files)
