"""How far each run is: its step, its speed, the time left, where it runs, and why it failed.

Only reads files: it works on any node, beside anything.
"""

import argparse
from pathlib import Path

from study import status_text
from study.status import StudyStatus, studies_of, study_status


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study", nargs="?", help="default: the only one with runs, else a line for each"
    )
    parser.add_argument("--watch", action="store_true", help="show it again every few seconds")
    parser.add_argument("--all", action="store_true", help="of many runs, also those that wait")
    parser.add_argument("--json", action="store_true", help="all that is known, for programs")
    parser.add_argument(
        "--config",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="default: %(default)s",
    )
    parser.add_argument("--data-dir", metavar="DIR", help="as in snakemake --config data_dir=DIR")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="default: %(default)s"
    )


def run(args: argparse.Namespace) -> None:
    def read() -> list[StudyStatus]:
        studies = studies_of(args.config, args.results, args.study)
        return [study_status(study, args.results, args.data_dir) for study in studies]

    if args.json:
        status_text.print_json(read())
    elif args.watch:
        status_text.watch(read, show_all=args.all)
    else:
        status_text.print_status(read(), show_all=args.all)
