"""Collect runs into the tables of a study.

The workflow names the files of its ablations: the folders of ten thousand runs are more than a
command line takes.
"""

import argparse
from pathlib import Path

from study import registry
from study.collecting.collect import collect
from study.outputs import write_study_tables
from study.partial_folder import remove_partial
from study.planning.ablation import Ablation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", choices=["all", "probed"], default="all", help="which they are")
    parser.add_argument("--study", required=True)
    parser.add_argument("--tables", type=Path, required=True, help="results/STUDY/tables")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--ablations", type=Path, nargs="+", default=[], metavar="FILE.yaml")
    where.add_argument("run_dirs", type=Path, nargs="*", default=[], metavar="RUN_DIR")


def run(args: argparse.Namespace) -> None:
    run_dirs = set(args.run_dirs)
    for ablation in map(Ablation.load, args.ablations):
        of_runs = ablation.run_dirs if args.runs == "all" else ablation.probed_dirs
        run_dirs |= {*of_runs(args.tables.parent)}
    tables = collect(args.study, registry.tables_of(args.runs), run_dirs)
    write_study_tables(tables, args.tables)
    if args.runs == "all":
        remove_partial(args.tables.parent)
