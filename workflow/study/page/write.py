"""Writing the page of a study: everything in one file, which asks the network for nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from model.files import write_text
from model.table import read_parquet
from study.page.curves import curves_of, vega_program
from study.page.image import has_pictures, image_address
from study.page.output import Files, study_outputs
from study.page.runs import runs_by_dataset
from study.page.samples import samples_of
from study.page.section import ablation_section
from study.page.state import state_of
from study.planning.ablation import Ablation

NAME = "index.html"
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {"address": image_address, "has_pictures": has_pictures}


def write_page(
    study_dir: Path,
    ablations: Sequence[Ablation],
    directory: Path,
    files: Files,
    missing: Sequence[str] = (),
) -> Path:
    """Write a study's page into a folder, of its tables and figures; raises ResultError.

    `missing` names the runs that are not there yet: then it is a page of partial results.
    """
    runs, timings, segments, history = (
        _rows(files.tables / f"{name}.parquet")
        for name in ("runs", "timings", "segments", "history")
    )
    curves = curves_of(history, runs)
    units = {row["dataset"]: row["unit"] for row in runs}
    text = _ENVIRONMENT.get_template("page.html").render(
        study=ablations[0].study,
        state=state_of(runs, timings, segments, missing),
        sections=[ablation_section(ablation, files, curves, units) for ablation in ablations],
        outputs=study_outputs(files),
        samples=samples_of(study_dir / "runs", runs),
        datasets=runs_by_dataset(runs, timings, segments),
        curves=curves,
        vega=vega_program(),
    )
    path = directory / NAME
    write_text(path, text)
    return path


def _rows(path: Path) -> list[dict[str, Any]]:
    return read_parquet(path).to_pylist()
