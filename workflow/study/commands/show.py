"""Print a table, or a run.

A table is `runs`, or an ablation's by its name; a name that is not there is answered with those
that are. A run is DATASET/VARIANT/seedN: its settings, results, learning curve, and who trained
which steps; without seedN, of all seeds.
"""

import argparse
from pathlib import Path

from study.place import add_config
from study.show import find_study, show_table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", default="runs", metavar="TABLE|RUN", help="%(default)s")
    parser.add_argument("--study", help="default: the one that config.yaml names")
    add_config(parser)
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="CONDITION",
        help="dataset=mnist, variant=x1,x2, 'nll<80'; several: all of them",
    )
    parser.add_argument("--sort", type=_names, default=[], metavar="A,B", help="by these columns")
    parser.add_argument("--reverse", action="store_true", help="the last row first")
    parser.add_argument("--columns", type=_names, default=[], metavar="A,B", help="only these")
    parser.add_argument("--json", action="store_true", help="all columns, for programs")
    parser.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="%(default)s"
    )


def run(args: argparse.Namespace) -> None:
    if "/" in args.what:
        from study.show_run import show_run  # draws, which a table does without

        show_run(args.results, args.study, args.what, args.config, json=args.json)
        return
    show_table(
        find_study(args.results, args.study, args.config),
        args.what,
        where=args.where,
        sort=args.sort,
        reverse=args.reverse,
        columns=args.columns,
        json=args.json,
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
