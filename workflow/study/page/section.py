"""The sections of a study's page: its ablations, and what is of the study as a whole."""

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.table import read_parquet
from study import registry
from study.figures.variant_style import VariantStyle, variant_styles
from study.page.curves import chart
from study.page.finding import Finding, findings
from study.page.reading import ReadingTable, reading_table
from study.planning.ablation import Ablation

_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where a study's tables and figures lie: two folders, or one of partial results."""

    tables: Path
    figures: Path


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Learning curves on a dataset: a Vega-Lite chart, without its data."""

    dataset: str
    spec: str  # JSON


@dataclass(frozen=True, kw_only=True)
class Output:
    """A figure and a table that belong together, or one of both."""

    name: str  # of the files
    heading: str
    figure: str | None  # as the address of an image
    has_pictures: bool  # in the figure: their colours are not to be turned round where it is dark
    table: ReadingTable | None


@dataclass(frozen=True, kw_only=True)
class AblationSection:
    """What the page shows of an ablation."""

    ablation: Ablation
    findings: Sequence[Finding]
    outputs: Sequence[Output]  # the comparison first
    charts: Sequence[Chart]


def ablation_section(
    ablation: Ablation, files: Files, curves: Mapping[str, Any], units: Mapping[str, str]
) -> AblationSection:
    """A section of what lies there of an ablation; raises ResultError for a damaged table.

    `curves` and `units` are those of each dataset.
    """
    comparison = files.tables / f"{ablation.name}.parquet"
    styles = variant_styles(ablation)
    return AblationSection(
        ablation=ablation,
        findings=findings(read_parquet(comparison).to_pylist()) if comparison.exists() else [],
        outputs=_outputs(
            {
                ablation.name + registry.ABLATION_OUTPUTS[name].suffix: _heading(name)
                for name in registry.outputs_of(ablation.name, ablation.refinement)
            },
            files,
        ),
        charts=[
            _chart(dataset, {variant: styles[variant] for variant in variants}, drawn, units)
            for dataset, variants in ablation.variants.items()
            if (drawn := [c for c in curves.get(dataset, []) if c["variant"] in variants])
        ],
    )


def _chart(
    dataset: str,
    styles: Mapping[str, VariantStyle],
    curves: Sequence[Mapping[str, Any]],
    units: Mapping[str, str],
) -> Chart:
    return Chart(dataset=dataset, spec=json.dumps(chart(curves, styles, units[dataset])))


def study_outputs(files: Files) -> list[Output]:
    """The figures and tables for reading of the study as a whole."""
    names = [*registry.STUDY_FIGURES, *registry.STUDY_TABLES]
    return _outputs({name: _heading(name) for name in names}, files)


def image_address(path: Path) -> str:
    """An image as an address that holds it: `data:image/png;base64,...`."""
    return f"data:{_TYPES[path.suffix]};base64,{b64encode(path.read_bytes()).decode()}"


def _outputs(headings: Mapping[str, str], files: Files) -> list[Output]:
    found = []
    for name, heading in headings.items():
        figure, table = files.figures / f"{name}.svg", files.tables / f"{name}.md"
        output = Output(
            name=name,
            heading=heading,
            figure=image_address(figure) if figure.exists() else None,
            has_pictures=figure.exists() and b"<image" in figure.read_bytes(),
            table=reading_table(table.read_text()) if table.exists() else None,
        )
        if output.figure or output.table:
            found.append(output)
    return found


def _heading(name: str) -> str:
    """ "block_norms" as "Block norms"."""
    return name.replace("_", " ").capitalize()
