"""The `study` command: `study COMMAND --help`, or `python -m study` without an installation."""

import argparse
import sys
from pathlib import Path
from typing import Any

from model.config import ConfigError
from model.table import ResultError
from study import registry


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code, and prints a mistake as one line."""
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        args.command(args)
    except KeyboardInterrupt:  # how one ends `study status --watch`
        return 130
    except (ConfigError, ResultError, OSError) as error:
        _complain(error)
        return 1
    return 0


def _complain(what: object) -> None:
    print(f"study: {' '.join(str(what).split())}", file=sys.stderr)


_EPILOG = """\
The usual way:
  snakemake --cores 2 --config study=demo     makes a study; typed again, it goes on
  study status demo --watch                   how far it is, in another terminal
  study show --study demo                     what came out, when it has ended
  study compare digits/x1 digits/r2           two variants, image by image

`study COMMAND --help` has the options of a command. The workflow itself calls
study collect, ablation and figures; study document writes results/README.md.
"""


# Imports are where they are needed: each command is a process of the workflow.
def _collect(args: argparse.Namespace) -> None:
    from study.collecting.collect import collect
    from study.outputs import write_study_tables
    from study.partial import remove_partial

    tables = collect(args.study, registry.tables_of(args.runs), args.run_dirs)
    write_study_tables(tables, args.tables)
    if args.runs == "all":
        remove_partial(args.tables.parent)


def _ablation(args: argparse.Namespace) -> None:
    from study.outputs import write_ablation_output
    from study.planning.ablation import Ablation

    write_ablation_output(args.output, Ablation.load(args.ablation), args.study_dir)


def _figures(args: argparse.Namespace) -> None:
    from study.outputs import write_study_figures
    from study.planning.ablation import Ablation

    write_study_figures([Ablation.load(path) for path in args.ablations], args.study_dir)


def _partial(args: argparse.Namespace) -> None:
    from study.partial import write_partial_tables
    from study.planning.study import Study

    study = Study.load(args.config, args.study)
    directory = write_partial_tables(study, args.results, lambda line: _complain(f"skipped {line}"))
    print(f"tables and figures of what has finished are in {directory}")


def _show(args: argparse.Namespace) -> None:
    from study.show import find_study, text_of

    print(text_of(find_study(args.results, args.study), args.table), end="")


def _status(args: argparse.Namespace) -> None:
    from study import status_text
    from study.status import StudyStatus, studies_of, study_status

    def read() -> list[StudyStatus]:
        studies = studies_of(args.config, args.results, args.study)
        return [study_status(study, args.results) for study in studies]

    if args.json:
        status_text.print_json(read())
    elif args.watch:
        status_text.watch(read, show_all=args.all)
    else:
        status_text.print_status(read(), show_all=args.all)


def _compare(args: argparse.Namespace) -> None:
    from study.compare import find_sides
    from study.compare_text import json_of, text_of

    sides = find_sides(args.results, args.study, args.runs)
    print(json_of(sides) if args.json else text_of(sides))


def _retrain(args: argparse.Namespace) -> None:
    from study.retrain import set_runs_aside

    for aside in set_runs_aside(args.results / args.study, args.runs):
        print(f"set aside: {aside}")
    print("snakemake trains these runs from scratch now")


def _document(args: argparse.Namespace) -> None:
    from study.document import write_documents

    write_documents(args.root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="study",
        description="Look at a study while snakemake makes it, and at its results.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_for_users(commands)
    _add_for_rules(commands)
    return parser


def _add_for_users(commands: Any) -> None:
    """The commands that a user types."""
    status = commands.add_parser(
        "status",
        help="how far each run is, while snakemake makes the study",
        description="How far each run is: its step, its speed, the time left, where it runs, and "
        "why it failed. Only reads files: it works on any node, beside anything.",
    )
    status.add_argument(
        "study", nargs="?", help="default: the only one with runs, else a line for each"
    )
    status.add_argument("--watch", action="store_true", help="show it again every few seconds")
    status.add_argument("--all", action="store_true", help="of many runs, also those that wait")
    status.add_argument("--json", action="store_true", help="all that is known, for programs")
    status.add_argument(
        "--config",
        type=Path,
        default=Path("config.yaml"),
        metavar="FILE",
        help="default: %(default)s",
    )
    status.add_argument(
        "--results", type=Path, default=Path("results"), metavar="DIR", help="default: %(default)s"
    )
    status.set_defaults(command=_status)

    show = commands.add_parser(
        "show",
        help="print a table of results",
        description="Print a table: `runs`, or an ablation's by its name. A name that is not "
        "there is answered with those that are.",
    )
    show.add_argument("--study", help="default: the only study under --results")
    show.add_argument("--table", default="runs", metavar="NAME", help="default: runs")
    show.add_argument("--results", type=Path, default=Path("results"))
    show.set_defaults(command=_show)

    compare = commands.add_parser(
        "compare",
        help="runs beside each other: settings, results, difference",
        description="Two or more runs beside each other: the settings in which they differ, their "
        "results, and the difference of the test NLL to that of the first, image by image.",
    )
    compare.add_argument(
        "runs",
        nargs="+",
        metavar="DATASET/VARIANT[/seedN]",
        help="without seedN: the mean over all seeds; or the folder of a run",
    )
    compare.add_argument("--study", help="needed if several studies have such runs")
    compare.add_argument("--results", type=Path, default=Path("results"))
    compare.add_argument("--json", action="store_true", help="the same for programs")
    compare.set_defaults(command=_compare)

    partial = commands.add_parser(
        "partial",
        help="tables and figures of the runs that have finished so far",
        description="Write tables and figures of the runs that have finished so far into "
        "results/STUDY/partial.",
    )
    partial.add_argument("--study", required=True)
    partial.add_argument("--config", type=Path, default=Path("config.yaml"))
    partial.add_argument("--results", type=Path, default=Path("results"))
    partial.set_defaults(command=_partial)

    retrain = commands.add_parser(
        "retrain",
        help="set runs aside, so that snakemake trains them from scratch",
        description="Rename the folders of runs, so that the next snakemake trains them from "
        "scratch. Nothing is deleted.",
    )
    retrain.add_argument("--study", required=True)
    retrain.add_argument("--results", type=Path, default=Path("results"))
    retrain.add_argument("runs", nargs="+", metavar="DATASET/VARIANT[/seedN]")
    retrain.set_defaults(command=_retrain)


def _add_for_rules(commands: Any) -> None:
    """The commands that the workflow's rules call; without help, they are not in the list."""
    collect = commands.add_parser("collect", description="Collect runs into the tables of a study.")
    collect.add_argument("--runs", choices=["all", "probed"], default="all", help="which they are")
    collect.add_argument("--study", required=True)
    collect.add_argument("--tables", type=Path, required=True, help="folder to write to")
    collect.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR")
    collect.set_defaults(command=_collect)

    ablation = commands.add_parser(
        "ablation", description="Write a table and a figure of one ablation."
    )
    ablation.add_argument("output", choices=registry.ABLATION_OUTPUTS)
    ablation.add_argument(
        "--ablation",
        type=Path,
        required=True,
        metavar="FILE.yaml",
        help="results/STUDY/ablations/ABLATION.yaml",
    )
    ablation.add_argument("--study-dir", type=Path, required=True, help="results/STUDY")
    ablation.set_defaults(command=_ablation)

    figures = commands.add_parser("figures", description="Draw the figures of a study as a whole.")
    figures.add_argument("--ablations", type=Path, nargs="+", required=True, metavar="FILE.yaml")
    figures.add_argument("--study-dir", type=Path, required=True, help="results/STUDY")
    figures.set_defaults(command=_figures)

    document = commands.add_parser(
        "document", description="Bring results/README.md and docs/ablations.md up to date."
    )
    document.add_argument("--root", type=Path, default=Path(), help="the checkout")
    document.set_defaults(command=_document)


if __name__ == "__main__":
    sys.exit(main())
