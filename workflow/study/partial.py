"""Tables of what has finished, while the rest of a study still trains."""

from pathlib import Path

from model.config import ConfigError
from model.table import ResultError
from study.collecting.run_result import RunResult
from study.outputs import write_ablation_table, write_study_tables
from study.planning.study import Run, Study
from study.results import StudyResults
from study.tables import comparison


def write_partial_tables(study: Study, results: Path) -> Path:
    """Write the tables of runs and of the ablations, of finished runs; the folder written to.

    It is not the folder of the final tables, which Snakemake writes when all runs are there.
    """
    study_dir = results / study.name
    finished = [path for run in study.runs if (path := _finished(study, study_dir, run))]
    if not finished:
        raise ResultError(f"{study_dir}: no run has finished yet")
    directory = study_dir / "partial"
    write_study_tables(study.name, "all", finished, directory)
    partial_results = StudyResults(directory, study_dir / "runs")
    for ablation in study.ablations.values():
        frame = comparison.rows(ablation, partial_results, is_partial=True)
        write_ablation_table("comparison", ablation, frame, directory)
    return directory


def _finished(study: Study, study_dir: Path, run: Run) -> Path | None:
    """The folder of a run that is trained and evaluated as config.yaml now says."""
    directory = study_dir / "runs" / run.dataset / run.variant / f"seed{run.seed}"
    try:
        found = RunResult.read(directory)
        found.table("test")
    except (ResultError, ConfigError):
        return None
    return directory if found.config.hash == study.run_config(run).hash else None
