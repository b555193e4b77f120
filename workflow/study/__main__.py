"""The `study` command: `python -m study {runs,table,figure,show} --help`."""

import argparse
import sys
from pathlib import Path

from model.config import ConfigError
from study.runs import ResultError, collect, read_parquet, write_parquet


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns its exit code, and prints a mistake as one line."""
    args = _parser().parse_args(arguments)
    try:
        args.command(args)
    except (ConfigError, ResultError, OSError) as error:
        print(f"study: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _runs(args: argparse.Namespace) -> None:
    for name, table in collect(args.study, args.run_directories).items():
        write_parquet(table, args.output / f"{name}.parquet")


# pandas, and seaborn far more so, take long to import: each command is a process of the workflow.
def _table(args: argparse.Namespace) -> None:
    from study import tables

    runs = read_parquet(args.tables / "runs.parquet").to_pandas()
    tables.write(tables.Ablation.load(args.ablation), runs, args.tables)


def _figure(args: argparse.Namespace) -> None:
    from study import figures, tables

    ablation = tables.Ablation.load(args.ablation)
    runs = read_parquet(args.tables / "runs.parquet").to_pandas()
    history = read_parquet(args.tables / "history.parquet").to_pandas()
    figures.save(figures.draw(ablation, runs, history), args.figures, ablation.ablation)


def _show(args: argparse.Namespace) -> None:
    from study.tables import find_study, overview

    directory = find_study(args.results, args.study) / "tables"
    if args.table == "runs":
        print(overview(directory / "runs.parquet"))
        return
    path = directory / f"{args.table}.md"
    if not path.is_file():
        known = ["runs", *sorted(p.stem for p in directory.glob("*.md"))]
        raise ResultError(f"{path} is missing; there are the tables {', '.join(known)}")
    print(path.read_text(encoding="utf-8"), end="")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="study", description="Tables and figures of a study.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    runs = commands.add_parser("runs", help="collect runs into parquet tables")
    runs.add_argument("--study", required=True)
    runs.add_argument("--output", type=Path, required=True, help="directory of the tables")
    runs.add_argument("run_directories", type=Path, nargs="+", metavar="RUN_DIR")
    runs.set_defaults(command=_runs)

    table = commands.add_parser("table", help="the table of one ablation")
    table.add_argument("--ablation", type=Path, required=True, metavar="FILE.yaml")
    table.add_argument("--tables", type=Path, required=True, help="holds runs.parquet")
    table.set_defaults(command=_table)

    figure = commands.add_parser("figure", help="the figure of one ablation")
    figure.add_argument("--ablation", type=Path, required=True, metavar="FILE.yaml")
    figure.add_argument("--tables", type=Path, required=True, help="holds runs and history.parquet")
    figure.add_argument("--figures", type=Path, required=True, help="directory to write to")
    figure.set_defaults(command=_figure)

    show = commands.add_parser("show", help="print a table")
    show.add_argument("--study", help="default: the only study under --results")
    show.add_argument("--table", default="runs", metavar="runs|ABLATION")
    show.add_argument("--results", type=Path, default=Path("results"))
    show.set_defaults(command=_show)
    return parser


if __name__ == "__main__":
    sys.exit(main())
