"""What is wrong, and the command that mends it.

Looks at config.yaml, the installed packages, the locks of killed snakemakes, the jobs that the
executor believes in, the profile and the cluster's partitions, the data, and the results. The exit
code is 1 if something is wrong.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from study.doctor import Check, Place
from study.place import add_place
from study.text_table import Part, as_json, print_parts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--json", action="store_true", help="the same for programs")
    parser.add_argument(
        "--profile", type=Path, metavar="DIR", help="default: slurm, where SLURM answers"
    )


def run(args: argparse.Namespace) -> int:
    place = Place(
        project=args.results.absolute().parent,
        config=args.config,
        study=args.study,
        results=args.results,
        data_dir=args.data_dir,
        profile=args.profile,
    )
    checks = place.check()
    if args.json:
        print(as_json([dataclasses.asdict(check) for check in checks]))
    else:
        print_parts([line for check in checks for line in _lines(check)])
    return int(any(check.findings for check in checks))


def _lines(check: Check) -> Sequence[Part]:
    if not check.findings:
        return [f"{check.name}: {f'not checked: {check.note}' if check.note else 'nothing wrong'}"]
    lines = []
    for finding in check.findings:
        lines += [f"{check.name}: {finding.what}", f"    {finding.mend}"]
    return lines
