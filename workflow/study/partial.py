"""Tables of what has finished, while the rest of a study still trains."""

from pathlib import Path

import yaml

from model.config import ConfigError, from_mapping
from study.comparison import Ablation
from study.plan import Run, Study
from study.runs import ResultError, collect, read_run, write_parquet
from study.tables import write


def write_partial_tables(study: Study, results: Path) -> Path:
    """Write runs.parquet and the ablations' tables of the finished runs; the folder written to.

    It is not the folder of the final tables, which Snakemake writes when all runs are there.
    """
    directory = results / study.name / "partial"
    finished = [path for run in study.runs if (path := _finished(study, results, run))]
    if not finished:
        raise ResultError(f"{results / study.name}: no run has finished yet")
    collected = collect(study.name, finished)
    for name, table in collected.items():
        write_parquet(table, directory / f"{name}.parquet")
    runs, timings = collected["runs"].to_pandas(), collected["timings"].to_pandas()
    for name in study.ablations:
        ablation = from_mapping(Ablation, yaml.safe_load(study.ablation_text(name)))
        write(ablation, runs, timings, directory, is_partial=True)
    return directory


def _finished(study: Study, results: Path, run: Run) -> Path | None:
    """The directory of a run that is trained and evaluated as config.yaml now says."""
    directory = results / study.name / "runs" / run.dataset / run.variant / f"seed{run.seed}"
    try:
        found = read_run(directory)
    except (ResultError, ConfigError):
        return None
    return directory if found.config.hash == study.run_config(run).hash else None
