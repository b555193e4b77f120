"""Write tables and figures of the runs that have finished so far into results/STUDY/partial.

Runs of the length in config.yaml and of the present data; if there are none, the runs as they are.
"""

import argparse
import sys
from pathlib import Path

from study.finished_runs import Kind
from study.partial import write_partial_tables
from study.place import data_of
from study.planning.study import Study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--study", help="default: the one that config.yaml names")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"))
    parser.add_argument("--data-dir", metavar="DIR", help="as in snakemake --config data_dir=DIR")
    parser.add_argument("--results", type=Path, default=Path("results"))


def run(args: argparse.Namespace) -> None:
    study = Study.load(args.config, args.study)
    data = data_of(study, args.data_dir, args.results)
    written = write_partial_tables(study, data, args.results, _skip)
    if not written.is_final:
        print(f"tables and figures of what has finished are in {written.directory}")
    elif written.finished.kind == Kind():
        print(f"all runs have finished: the final tables are in {written.directory}")
    else:  # they will be made again
        print(f"all runs have results: their tables are in {written.directory}")
    for note in written.finished.notes:
        print(f"note: {note}")


def _skip(line: str) -> None:
    print(f"study: skipped {' '.join(line.split())}", file=sys.stderr)
