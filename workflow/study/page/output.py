"""The tables and figures that a study has, for its page and its paper."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from study import registry
from study.page.reading import ReadingTable, reading_table
from study.planning.ablation import Ablation


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where a study's tables and figures lie: two folders, or one of partial results."""

    tables: Path
    figures: Path


@dataclass(frozen=True, kw_only=True)
class Output:
    """A figure and a table that belong together, or one of both."""

    name: str  # of the files
    heading: str
    figure: Path | None  # the SVG; the same lies beside it in the other FIGURE_FORMATS
    table: ReadingTable | None


def ablation_outputs(ablation: Ablation, files: Files) -> list[Output]:
    """The figures and tables for reading of an ablation, the comparison first."""
    headings = {
        ablation.name + registry.ABLATION_OUTPUTS[name].suffix: _heading(name)
        for name in registry.outputs_of(ablation.name, ablation.refinement)
    }
    return _outputs(headings, files)


def study_outputs(files: Files) -> list[Output]:
    """The figures and tables for reading of the study as a whole."""
    names = [*registry.STUDY_FIGURES, *registry.STUDY_TABLES]
    return _outputs({name: _heading(name) for name in names}, files)


def _outputs(headings: Mapping[str, str], files: Files) -> list[Output]:
    found = []
    for name, heading in headings.items():
        figure, table = files.figures / f"{name}.svg", files.tables / f"{name}.md"
        output = Output(
            name=name,
            heading=heading,
            figure=figure if figure.exists() else None,
            table=reading_table(table.read_text()) if table.exists() else None,
        )
        if output.figure or output.table:
            found.append(output)
    return found


def _heading(name: str) -> str:
    """ "block_norms" as "Block norms"."""
    return name.replace("_", " ").capitalize()
