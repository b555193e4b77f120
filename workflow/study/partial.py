"""Tables of what has finished, while the rest of a study still trains or has failed."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from model.files import write_text
from model.table import ResultError
from model.wording import counted
from study.collecting.collect import collect
from study.finished_runs import FinishedRuns
from study.outputs import draw_ablation, write_ablation_table, write_study_tables
from study.page.output import Files
from study.page.write import write_page
from study.paper.write import write_paper
from study.partial_folder import TITLE, remove_partial
from study.planning.ablation import Ablation
from study.planning.content import StudyData
from study.planning.study import Run, Study
from study.registry import ABLATION_OUTPUTS, EVALUATED, outputs_of, tables_of
from study.results import StudyResults


@dataclass(frozen=True)
class Written:
    """Tables of a study's finished runs: where they are, and which runs they are of."""

    directory: Path
    is_final: bool  # snakemake's, of all runs
    finished: FinishedRuns


def write_partial_tables(
    study: Study, data: StudyData, results: Path, skip: Callable[[str], None]
) -> Written:
    """Write tables and figures of the runs that have finished.

    Not into the folder of the final tables, which Snakemake writes when all runs are there. If
    those are of all runs already, nothing is written: nobody would remove it again.
    `skip` is told of each run that is damaged, and of each table that cannot be made, in one line.
    Raises ResultError if no run has finished.
    """
    study_dir = results / study.name
    finished = FinishedRuns.find(study, study_dir, data)
    if not finished.runs:
        raise ResultError(
            "; ".join(
                [
                    f"{study_dir}: no run has been evaluated yet",
                    f"{finished.trained} of {len(study.runs)} have finished training",
                    *finished.notes,
                ]
            )
        )
    run_dirs = [_run_dir(study_dir, run) for run in finished.runs]
    if len(run_dirs) == len(study.runs) and _are_final(study_dir, run_dirs):
        return Written(study_dir / "tables", is_final=True, finished=finished)
    tables = collect(study.name, tables_of("all"), run_dirs, skip)
    frames = {name: table.to_pandas() for name, table in tables.items()}
    runs = frames["runs"]
    found = {Run(*key) for key in zip(runs["dataset"], runs["variant"], runs["seed"], strict=True)}
    remove_partial(study_dir)
    directory = study_dir / "partial"
    write_text(directory / "README.md", _readme(study, found, finished.notes))
    write_study_tables(tables, directory)
    for ablation in study.ablations.values():
        for name in outputs_of(ablation.name, ablation.refinement):
            try:
                _write(name, ablation, StudyResults(frames, study_dir / "runs"), directory)
            except ResultError as error:
                skip(f"{ablation.name}{ABLATION_OUTPUTS[name].suffix}: {error}")
    missing = [run.name for run in _without(study, found)]
    files = Files(tables=directory, figures=directory)
    write_page(study_dir, list(study.ablations.values()), directory, files, missing)
    write_paper(study_dir, list(study.ablations.values()), directory, files, missing)
    return Written(directory, is_final=False, finished=finished)


def _are_final(study_dir: Path, run_dirs: Sequence[Path]) -> bool:
    """Whether the table of runs has been made since the last of these was trained and evaluated."""
    try:
        made = (study_dir / "tables/runs.parquet").stat().st_mtime_ns
        times = [(run_dir / name).stat().st_mtime_ns for run_dir in run_dirs for name in EVALUATED]
    except FileNotFoundError:
        return False
    return made >= max(times)


def _run_dir(study_dir: Path, run: Run) -> Path:
    return study_dir / "runs" / run.name


def _write(name: str, ablation: Ablation, results: StudyResults, directory: Path) -> None:
    """An output of an ablation, as far as its runs are there."""
    known = _of_finished(ablation, results)
    table = import_module(ABLATION_OUTPUTS[name].table)
    if name == "comparison":
        frame = table.rows(ablation, results, is_partial=True)
        write_ablation_table(name, ablation, frame, directory)
    elif known.variants:
        frame = table.rows(known, results)
        write_ablation_table(name, ablation, frame, directory)
    if known.variants:
        draw_ablation(name, known, results, directory)


def _of_finished(ablation: Ablation, results: StudyResults) -> Ablation:
    """The ablation of the variants that have a run, where the baseline has one."""
    runs = results.tables["runs"]
    there = set(zip(runs["dataset"], runs["variant"], strict=True))
    variants = {
        dataset: tuple(variant for variant in names if (dataset, variant) in there)
        for dataset, names in ablation.variants.items()
        if (dataset, names[0]) in there
    }
    return dataclasses.replace(ablation, variants=variants)


def _readme(study: Study, found: set[Run], notes: Sequence[str]) -> str:
    missing = [f"- {run.name}" for run in _without(study, found)]
    return "\n".join(
        [
            f"{TITLE}{study.name}",
            "",
            f"{len(found)} of {counted(len(study.runs), 'run')}, "
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
            *(f"{note}." for note in notes),
            "Once all of them are there, snakemake writes the final tables into ../tables and "
            "../figures and removes this folder.",
            "",
            "Without a result that can be read:",
            "",
            *(missing or ["- none"]),
            "",
        ]
    )


def _without(study: Study, found: set[Run]) -> Sequence[Run]:
    return [run for run in study.runs if run not in found]
