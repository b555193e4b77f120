"""The `study` command: `python -m study {runs,table,figure,partial,show} --help`."""

import argparse
import sys
from pathlib import Path

from model.config import ConfigError
from model.files import write_text
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
    from study.comparison import Ablation
    from study.tables import write

    runs = read_parquet(args.tables / "runs.parquet").to_pandas()
    timings = read_parquet(args.tables / "timings.parquet").to_pandas()
    write(Ablation.load(args.ablation), runs, timings, args.tables)


def _partial(args: argparse.Namespace) -> None:
    from study.partial import write_partial_tables
    from study.plan import Study

    directory = write_partial_tables(Study.load(args.config, args.study), args.results)
    print(f"what has finished is in {directory}")


def _figure(args: argparse.Namespace) -> None:
    from study import figures
    from study.comparison import Ablation

    ablation = Ablation.load(args.ablation)
    runs = read_parquet(args.tables / "runs.parquet").to_pandas()
    history = read_parquet(args.tables / "history.parquet").to_pandas()
    figures.save(figures.draw(ablation, runs, history), args.figures, ablation.ablation)


def _probes(args: argparse.Namespace) -> None:
    from study import instability, norms
    from study.probes import collect_probes

    tables = collect_probes(args.study, args.run_directories)
    for name, table in tables.items():
        write_parquet(table, args.output / f"{name}.parquet")
    for name, to_markdown in (
        ("norms", norms.to_markdown),
        ("instability", instability.to_markdown),
    ):
        write_text(args.output / f"{name}.md", to_markdown(tables[name].to_pandas()))


# One process for three figures: importing seaborn takes longer than drawing.
def _probe_figures(args: argparse.Namespace) -> None:
    from study.comparison import Ablation
    from study.figures import save
    from study.instability_figure import draw_instability
    from study.norms_figure import draw_norms
    from study.samples_figure import draw_samples

    ablations = [Ablation.load(path) for path in args.ablations]
    runs = sorted({(d, names[0]) for a in ablations for d, names in a.variants.items()})
    probe = read_parquet(args.tables / "probe.parquet").to_pandas()
    instability = read_parquet(args.tables / "instability.parquet").to_pandas()
    drawn = {
        "samples": draw_samples(instability, runs, args.runs),
        "instability": draw_instability(instability, runs),
        "norms": draw_norms(probe, runs),
    }
    for name, figure in drawn.items():
        save(figure, args.figures, name)


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
    figure.add_argument("--tables", type=Path, required=True, help="holds runs, history.parquet")
    figure.add_argument("--figures", type=Path, required=True, help="directory to write to")
    figure.set_defaults(command=_figure)

    partial = commands.add_parser("partial", help="tables of what has finished so far")
    partial.add_argument("--study", required=True)
    partial.add_argument("--config", type=Path, default=Path("config.yaml"))
    partial.add_argument("--results", type=Path, default=Path("results"))
    partial.set_defaults(command=_partial)

    probes = commands.add_parser("probes", help="collect probed runs into parquet tables")
    probes.add_argument("--study", required=True)
    probes.add_argument("--output", type=Path, required=True, help="directory of the tables")
    probes.add_argument("run_directories", type=Path, nargs="+", metavar="RUN_DIR")
    probes.set_defaults(command=_probes)

    drawn = commands.add_parser("probe-figures", help="the figures norms, instability and samples")
    drawn.add_argument("--ablations", type=Path, nargs="+", required=True, metavar="FILE.yaml")
    drawn.add_argument(
        "--tables", type=Path, required=True, help="holds probe, instability.parquet"
    )
    drawn.add_argument("--runs", type=Path, required=True, help="directory of all runs")
    drawn.add_argument("--figures", type=Path, required=True, help="directory to write to")
    drawn.set_defaults(command=_probe_figures)

    show = commands.add_parser("show", help="print a table")
    show.add_argument("--study", help="default: the only study under --results")
    show.add_argument("--table", default="runs", metavar="runs|ABLATION")
    show.add_argument("--results", type=Path, default=Path("results"))
    show.set_defaults(command=_show)
    return parser


if __name__ == "__main__":
    sys.exit(main())
