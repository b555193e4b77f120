"""Which tables and figures a study has: the rules, `study show` and results/README.md follow it.

Modules are named and not imported: a dry run needs the names of files, but not pandas or PyTorch.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from model.run_tables import RUN_TABLES

FIGURE_FORMATS = ("pdf", "svg", "png")
# What a run has when it is trained and evaluated: every table of runs is made of these.
EVALUATED = ("config.yaml", "train.json", "history.parquet", "test.parquet")


@dataclass(frozen=True, kw_only=True)
class StudyTable:
    """tables/{name}.parquet: rows of every run, or of the probed ones."""

    # Holds `TABLE` and `rows(run)`, and `to_markdown(frame)` and `to_latex(frame)` where it has the
    # formats md and tex; None: the rows of the run table of this name.
    module: str | None = None
    runs: Literal["all", "probed"] = "all"
    formats: tuple[str, ...] = ("parquet",)


@dataclass(frozen=True, kw_only=True)
class StudyFigure:
    """figures/{name}.*: of the first seed of each ablation's baseline, or of every variant."""

    module: str  # holds `draw(ablations, results)`
    runs: Literal["baselines", "probed"] = "baselines"
    tables: tuple[str, ...]  # of those of a study, with the rows of those runs only
    run_files: tuple[str, ...] = ()  # of those runs, that it is drawn from
    source: str | None = None  # the paper's figure that it regenerates


@dataclass(frozen=True, kw_only=True)
class AblationOutput:
    """A table and a figure of an ablation: tables/{ablation}{suffix}.*, figures/...

    The module of the table holds `TABLE` and `rows(ablation, results)`, and `to_markdown` and
    `to_latex(ablation, frame)` where it has those formats; that of the figure holds
    `draw(ablation, results)`.
    """

    table: str
    figure: str
    tables: tuple[str, ...]  # of those of a study, with the rows of its own runs only
    formats: tuple[str, ...] = ("parquet",)
    suffix: str = ""
    ablations: tuple[str, ...] | None = None  # that have it; None: all
    needs_refinement: bool = False  # of those ablations only that ask for one
    run_files: tuple[str, ...] = ()  # of its runs, beside those that all outputs are made of


STUDY_TABLES = {
    "runs": StudyTable(module="study.tables.runs"),
    "timings": StudyTable(module="study.tables.timings"),
    "segments": StudyTable(module="study.tables.segments"),
    "rates": StudyTable(module="study.tables.rates"),
    **{
        name: StudyTable(runs="probed" if table.command == "probe" else "all")
        for name, table in RUN_TABLES.items()
        if table.is_collected
    },
    "norm_segments": StudyTable(
        module="study.tables.norm_segments", runs="probed", formats=("parquet", "md")
    ),
    "temperatures": StudyTable(
        module="study.tables.temperatures", runs="probed", formats=("parquet", "md")
    ),
    "theory": StudyTable(
        module="study.tables.theory", runs="probed", formats=("parquet", "md", "tex")
    ),
}
STUDY_FIGURES = {
    "block_norms": StudyFigure(
        module="study.figures.block_norms", tables=("block_norms",), source="figure5"
    ),
    "instability": StudyFigure(
        module="study.figures.instability", tables=("instability", "temperatures")
    ),
    "samples": StudyFigure(
        module="study.figures.samples",
        tables=("temperatures",),
        run_files=("samples.npy",),
        source="figure6",
    ),
    "learnt": StudyFigure(
        module="study.figures.learnt", tables=("learnt",), run_files=("learnt.npy",)
    ),
    "increments": StudyFigure(
        module="study.figures.increments", runs="probed", tables=("runs", "increments")
    ),
    "over_training": StudyFigure(
        module="study.figures.over_training", runs="probed", tables=("runs", "theory", "learnt")
    ),
}
ABLATION_OUTPUTS = {
    "comparison": AblationOutput(
        table="study.tables.comparison",
        figure="study.figures.comparison",
        tables=("runs", "timings", "history"),
        formats=("parquet", "csv", "md", "tex"),
    ),
    "scaling": AblationOutput(
        table="study.tables.scaling",
        figure="study.figures.scaling",
        tables=("runs",),
        suffix="-scaling",
        ablations=("blocks-and-repeats", "depth", "latents"),
    ),
    "cost": AblationOutput(
        table="study.tables.cost",
        figure="study.figures.cost",
        tables=("runs", "timings"),
        formats=("parquet", "md"),
        suffix="-cost",
        ablations=("gradient-checkpointing",),
    ),
    "refinement": AblationOutput(
        table="study.tables.refinement",
        figure="study.figures.refinement",
        tables=("runs",),
        formats=("parquet", "md"),
        suffix="-refinement",
        needs_refinement=True,
        run_files=("refinement.parquet",),
    ),
}


def tables_of(runs: Literal["all", "probed"]) -> list[str]:
    """The names of the tables that hold rows of these runs."""
    return [name for name, table in STUDY_TABLES.items() if table.runs == runs]


def figures_of(runs: Literal["baselines", "probed"]) -> dict[str, StudyFigure]:
    """The figures of a study that are drawn from these runs."""
    return {name: figure for name, figure in STUDY_FIGURES.items() if figure.runs == runs}


def outputs_of(ablation: str, refinement: Sequence[int]) -> list[str]:
    """The names of an ablation's outputs, of which some need that it asks for a refinement."""
    return [
        name
        for name, output in ABLATION_OUTPUTS.items()
        if (output.ablations is None or ablation in output.ablations)
        and (refinement or not output.needs_refinement)
    ]


def owner_of(name: str, ablations: Iterable[str]) -> str | None:
    """What already has the name that an ablation's table and figure would have; None: nothing."""
    if name in STUDY_TABLES or name in STUDY_FIGURES:
        return "a table or figure of every study"
    for other in ablations:
        for output in ABLATION_OUTPUTS.values():
            if output.suffix and name == other + output.suffix:
                return f"an output of the ablation {other}"
    return None
