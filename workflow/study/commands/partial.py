"""Write tables and figures of the runs that have finished so far into results/STUDY/partial."""

import argparse
import sys
from pathlib import Path

from study.partial import write_partial_tables
from study.planning.study import Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", help="default: the one that config.yaml names")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--results", type=Path, default=Path("results"))


def run(args: argparse.Namespace) -> None:
    study = Study.load(args.config, args.study)
    directory = write_partial_tables(study, args.results, _skip)
    if directory is None:
        print(f"all runs have finished: the final tables are in {args.results / study.name}/tables")
    else:
        print(f"tables and figures of what has finished are in {directory}")


def _skip(line: str) -> None:
    print(f"study: skipped {' '.join(line.split())}", file=sys.stderr)
