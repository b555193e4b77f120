"""What the paper of a study says, in its order, as values that JSON has."""

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from model.table import read_parquet
from study import registry
from study.page.finding import ablation_findings
from study.page.output import Files, Output, ablation_outputs, study_outputs
from study.page.runs import runs_by_dataset
from study.page.samples import samples_of
from study.page.state import state_of, trained_until
from study.paper.appendix import appendix
from study.planning.ablation import Ablation

Content = dict[str, Any]


def paper_content(
    study_dir: Path, ablations: Sequence[Ablation], files: Files, missing: Sequence[str]
) -> Content:
    """What `paper.typ` sets; raises ResultError for a damaged table.

    Files are named as Typst reads them, from the folder of the study on.
    """
    runs, timings, segments = (
        read_parquet(files.tables / f"{name}.parquet").to_pylist()
        for name in ("runs", "timings", "segments")
    )
    state = state_of(runs, timings, segments, missing)
    outputs = study_outputs(files)
    return {
        "study": ablations[0].study,
        "trained_until": int(trained_until(segments).timestamp()),
        "state": dataclasses.asdict(state),
        "parts": [
            part for part in _parts(study_dir, ablations, files, outputs) if part["sections"]
        ],
        "samples": [
            {
                "name": f"{samples.dataset}/{samples.variant}/seed{samples.seed}",
                "image": _place(samples.image, study_dir),
            }
            for samples in samples_of(study_dir / "runs", runs)
        ],
        "appendix": [appendix(group) for group in runs_by_dataset(runs, timings, segments)],
    }


def _parts(
    study_dir: Path, ablations: Sequence[Ablation], files: Files, outputs: Sequence[Output]
) -> Iterable[Content]:
    """The paper's own tables and figures, in its order; the other ablations; what is left."""
    sources = {
        name: figure.source
        for name, figure in registry.STUDY_FIGURES.items()
        if figure.source is not None
    }
    of_paper = sorted(
        (ablation for ablation in ablations if ablation.source is not None),
        key=lambda ablation: _number(ablation.source or ""),
    )
    figures = sorted(
        (output for output in outputs if output.name in sources),
        key=lambda output: _number(sources[output.name]),
    )
    yield {
        "title": "Tables and figures of the paper",
        "sections": [
            *(_ablation(ablation, files, study_dir) for ablation in of_paper),
            *(_study_output(output, study_dir, sources[output.name]) for output in figures),
        ],
    }
    yield {
        "title": "Ablations",
        "sections": [_ablation(a, files, study_dir) for a in ablations if a not in of_paper],
    }
    yield {
        "title": "The study as a whole",
        "sections": [_study_output(o, study_dir) for o in outputs if o not in figures],
    }


def _ablation(ablation: Ablation, files: Files, study_dir: Path) -> Content:
    source = _source(ablation.source)
    return {
        "title": ablation.title,
        "source": source,
        "question": ablation.description,
        "findings": [dataclasses.asdict(f) for f in ablation_findings(ablation, files)],
        "outputs": [
            _output(output, study_dir, ablation.title, ablation.about)
            for output in ablation_outputs(ablation, files)
        ],
    }


def _study_output(output: Output, study_dir: Path, source: str | None = None) -> Content:
    return {
        "title": output.heading,
        "source": _source(source),
        "question": "",
        "findings": [],
        "outputs": [_output(output, study_dir, output.heading)],
    }


def _output(output: Output, study_dir: Path, title: str, about: str = "") -> Content:
    """A figure and a table; `about` stands above both already, and in no caption."""
    figure = output.figure and _place(output.figure.with_suffix(".pdf"), study_dir)
    table: Mapping[str, Any] | None = None
    if output.table is not None:
        table = {
            "caption": output.table.caption.removeprefix(about).lstrip(),
            "headings": output.table.headings,
            "rows": output.table.rows,
            "is_right": output.table.is_right,
        }
    return {"heading": output.heading, "title": title, "figure": figure, "table": table}


def _place(path: Path, study_dir: Path) -> str:
    return f"/{Path(os.path.relpath(path, study_dir)).as_posix()}"


def _source(source: str | None) -> str:
    """ "table1" as "table 1 of the paper"."""
    return re.sub(r"(\d+)$", r" \1 of the paper", source or "")


def _number(source: str) -> int:
    """Its tables 1 to 3 come before its figures 4 to 6."""
    return int(re.sub(r"\D", "", source))
