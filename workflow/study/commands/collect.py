"""Collect runs into the tables of a study."""

import argparse
from pathlib import Path

from study import registry
from study.collecting.collect import collect
from study.outputs import write_study_tables
from study.partial import remove_partial


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", choices=["all", "probed"], default="all", help="which they are")
    parser.add_argument("--study", required=True)
    parser.add_argument("--tables", type=Path, required=True, help="folder to write to")
    parser.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR")


def run(args: argparse.Namespace) -> None:
    tables = collect(args.study, registry.tables_of(args.runs), args.run_dirs)
    write_study_tables(tables, args.tables)
    if args.runs == "all":
        remove_partial(args.tables.parent)
