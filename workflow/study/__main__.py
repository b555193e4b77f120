"""The `study` command: `python -m study COMMAND --help`."""

import argparse
import sys
from pathlib import Path

from model.config import ConfigError
from model.table import ResultError
from study import registry


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code, and prints a mistake as one line."""
    args = _parser().parse_args(arguments)
    try:
        args.command(args)
    except (ConfigError, ResultError, OSError) as error:
        _complain(error)
        return 1
    return 0


def _complain(what: object) -> None:
    print(f"study: {' '.join(str(what).split())}", file=sys.stderr)


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


def _retrain(args: argparse.Namespace) -> None:
    from study.retrain import set_runs_aside

    for aside in set_runs_aside(args.results / args.study, args.runs):
        print(f"set aside: {aside}")
    print("snakemake trains these runs from scratch now")


def _document(args: argparse.Namespace) -> None:
    from study.document import write_documents

    write_documents(args.root)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="study", description="Tables and figures of a study.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    show = commands.add_parser("show", help="print a table")
    show.add_argument("--study", help="default: the only study under --results")
    show.add_argument("--table", default="runs", metavar="NAME", help="default: runs")
    show.add_argument("--results", type=Path, default=Path("results"))
    show.set_defaults(command=_show)

    partial = commands.add_parser("partial", help="tables of what has finished so far")
    partial.add_argument("--study", required=True)
    partial.add_argument("--config", type=Path, default=Path("config.yaml"))
    partial.add_argument("--results", type=Path, default=Path("results"))
    partial.set_defaults(command=_partial)

    collect = commands.add_parser("collect", help="collect runs into the tables of a study")
    collect.add_argument("--runs", choices=["all", "probed"], default="all", help="which they are")
    collect.add_argument("--study", required=True)
    collect.add_argument("--tables", type=Path, required=True, help="folder to write to")
    collect.add_argument("run_dirs", type=Path, nargs="+", metavar="RUN_DIR")
    collect.set_defaults(command=_collect)

    ablation = commands.add_parser("ablation", help="a table and figure of one ablation")
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

    figures = commands.add_parser("figures", help="the figures of a study as a whole")
    figures.add_argument("--ablations", type=Path, nargs="+", required=True, metavar="FILE.yaml")
    figures.add_argument("--study-dir", type=Path, required=True, help="results/STUDY")
    figures.set_defaults(command=_figures)

    retrain = commands.add_parser(
        "retrain", help="set runs aside, so that snakemake trains them from scratch"
    )
    retrain.add_argument("--study", required=True)
    retrain.add_argument("--results", type=Path, default=Path("results"))
    retrain.add_argument("runs", nargs="+", metavar="DATASET/VARIANT[/seedN]")
    retrain.set_defaults(command=_retrain)

    document = commands.add_parser(
        "document", help="bring results/README.md and docs/ablations.md up to date"
    )
    document.add_argument("--root", type=Path, default=Path(), help="the checkout")
    document.set_defaults(command=_document)
    return parser


if __name__ == "__main__":
    sys.exit(main())
