"""Writing what the registry lists: tables of a study and of its ablations, and their figures."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from model.files import write_text
from model.table import Table, write_parquet
from study.registry import ABLATION_OUTPUTS, STUDY_TABLES, figures_of

# pandas, and seaborn far more so, take long to import: each command is a process of the workflow.
if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from study.planning.ablation import Ablation
    from study.results import StudyResults


def write_study_tables(tables: Mapping[str, "pa.Table"], directory: Path) -> None:
    """Write tables that `collect` gave, each in its formats."""
    for name, table in tables.items():
        write_parquet(table, directory / f"{name}.parquet")
        entry = STUDY_TABLES[name]
        if entry.module is None:
            continue
        module = import_module(entry.module)
        if "md" in entry.formats:
            write_text(directory / f"{name}.md", module.to_markdown(table.to_pandas()))
        if "tex" in entry.formats:
            write_text(directory / f"{name}.tex", module.to_latex(table.to_pandas()))


def write_study_figures(
    ablations: Sequence["Ablation"], study_dir: Path, runs: Literal["baselines", "probed"]
) -> None:
    """Draw a study's figures of these runs at once: importing seaborn takes longer than one."""
    from study.figures.style import save
    from study.results import StudyResults

    figures = figures_of(runs)
    names = sorted({table for figure in figures.values() for table in figure.tables})
    run_dirs = {
        path
        for a in ablations
        for path in (a.probed_dirs(study_dir) if runs == "probed" else a.baseline_dirs(study_dir))
    }
    results = StudyResults.of_runs(study_dir, ablations[0].study, names, run_dirs)
    for name, figure in figures.items():
        drawn = import_module(figure.module).draw(ablations, results)
        save(drawn, study_dir / "figures", name)


def write_ablation_output(name: str, ablation: "Ablation", study_dir: Path) -> None:
    """Write one of ABLATION_OUTPUTS of an ablation, table and figure; raises ResultError."""
    from study.results import StudyResults

    output, run_dirs = ABLATION_OUTPUTS[name], ablation.run_dirs(study_dir)
    results = StudyResults.of_runs(study_dir, ablation.study, output.tables, run_dirs)
    frame = import_module(output.table).rows(ablation, results)
    write_ablation_table(name, ablation, frame, study_dir / "tables")
    draw_ablation(name, ablation, results, study_dir / "figures")


def draw_ablation(
    name: str, ablation: "Ablation", results: "StudyResults", directory: Path
) -> None:
    """Draw the figure of one of ABLATION_OUTPUTS."""
    from study.figures.style import save

    output = ABLATION_OUTPUTS[name]
    figure = import_module(output.figure).draw(ablation, results)
    save(figure, directory, ablation.name + output.suffix)


def write_ablation_table(
    name: str, ablation: "Ablation", frame: "pd.DataFrame", directory: Path
) -> None:
    """Write the table of one of ABLATION_OUTPUTS in its formats."""
    output = ABLATION_OUTPUTS[name]
    module = import_module(output.table)
    table: Table = module.TABLE
    stem = ablation.name + output.suffix
    for suffix in output.formats:
        path = directory / f"{stem}.{suffix}"
        if suffix == "parquet":
            table.write(table.of_frame(frame), path)
        elif suffix == "csv":
            write_text(path, frame.to_csv(index=False, lineterminator="\n"))
        elif suffix == "md":
            write_text(path, module.to_markdown(ablation, frame))
        else:
            write_text(path, module.to_latex(ablation, frame))
