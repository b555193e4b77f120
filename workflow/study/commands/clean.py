"""What no table of a study needs, and its size; deletes it if that is confirmed.

Resume states of other settings or data, runs that the study does not have any more or that were set
aside, and downloaded or preprocessed data of datasets that no study uses.
"""

import argparse
import dataclasses
import sys
from collections.abc import Sequence

from model.wording import counted
from study.clean import KINDS, Leftover, leftovers, remove
from study.place import add_place, data_of
from study.planning.study import Study
from study.text_table import Column, as_json, print_parts, size_text

COLUMNS = (
    Column("what"),
    Column("size", is_number=True),
    Column("hours of training", is_number=True, leaves=2),
    Column("why", leaves=1),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS, help="default: all")
    parser.add_argument("--yes", action="store_true", help="delete without asking")
    parser.add_argument("--json", action="store_true", help="the list for programs")


def run(args: argparse.Namespace) -> None:
    study = Study.load(args.config, args.study)
    data = data_of(study, args.data_dir, args.results)
    found = [entry for entry in leftovers(study, data, args.results) if entry.kind in args.only]
    if args.json:
        print(as_json([{**dataclasses.asdict(x), "path": str(x.path)} for x in found]))
    else:
        _print(found)
    if found and (args.yes or (not args.json and _is_confirmed(found))):
        remove(found, study, args.results.absolute().parent)
        print(f"deleted: {_total(found)}", file=sys.stderr)


def _print(found: Sequence[Leftover]) -> None:
    if not found:
        print("nothing to delete: all there is belongs to the study")
        return
    rows = [
        [str(x.path), size_text(x.size_bytes), f"{x.hours:.2f}" if x.hours else "", x.reason]
        for x in found
    ]
    print_parts([(COLUMNS, rows), "", f"In all: {_total(found)}"])


def _is_confirmed(found: Sequence[Leftover]) -> bool:
    if not sys.stdin.isatty():
        print("nothing is deleted: --yes does, without asking")
        return False
    return input(f"Delete {_total(found)}? [y/N] ").strip().lower() in ("y", "yes")


def _total(found: Sequence[Leftover]) -> str:
    hours = sum(leftover.hours for leftover in found)
    trained = f", with {hours:.2f} hours of training" if hours else ""
    return f"{counted(len(found), 'thing')}, {size_text(sum(x.size_bytes for x in found))}{trained}"
