"""Bring results/README.md and docs/ablations.md up to date."""

import argparse
from pathlib import Path

from study.document import write_documents


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, default=Path(), help="the checkout")


def run(args: argparse.Namespace) -> None:
    write_documents(args.root)
