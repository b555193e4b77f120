"""Tables of a study for a terminal."""

from pathlib import Path

from tabulate import tabulate

from model.files import AGAIN
from model.table import ResultError, read_file, read_parquet
from study.registry import ABLATION_OUTPUTS, STUDY_TABLES, outputs_of

# What the overview shows of the many columns of runs, and under which heading.
_OVERVIEW = {
    "dataset": "dataset",
    "variant": "variant",
    "seed": "seed",
    "status": "status",
    "nll_nats": "test NLL (nats)",
    "nll_bits_per_dim": "(bits/dim)",
    "nll_evaluation_error_nats": "± over images (nats)",
    "iw_nll_nats": "IW bound (nats)",
    "rate_nats": "rate (nats)",
    "num_parameters": "parameters",
    "stochastic_depth": "depth",
    "iterations_done": "iterations",
}


def find_study(results: Path, study: str | None) -> Path:
    """The folder of a study under `results`, or of the only one there is; raises ResultError."""
    found = sorted({path.parent.parent.name for path in results.glob("*/tables/*.parquet")})
    if study is None and len(found) == 1:
        return results / found[0]
    if study in found:
        return results / study
    there = f"there are {', '.join(found)}" if found else "there is none yet: run snakemake first"
    wanted = "name one with --study" if study is None else f"{study} has no tables"
    raise ResultError(f"{results}: {wanted}; {there}")


def table_names(study_dir: Path) -> list[str]:
    """The tables that a study has, by the registry and its ablations."""
    ablations = sorted(path.stem for path in (study_dir / "ablations").glob("*.yaml"))
    return [
        *STUDY_TABLES,
        *(a + ABLATION_OUTPUTS[name].suffix for a in ablations for name in outputs_of(a)),
    ]


def text_of(study_dir: Path, name: str) -> str:
    """A table for reading: its Markdown, else its columns as they are; raises ResultError."""
    known = table_names(study_dir)
    if name not in known:
        raise ResultError(f"no table {name!r} in {study_dir}; there are {', '.join(known)}")
    markdown = study_dir / "tables" / f"{name}.md"
    if markdown.exists():
        try:
            return read_file(markdown).decode()
        except UnicodeDecodeError as error:
            raise ResultError(f"{markdown}: {error}; {AGAIN}") from None
    table = read_parquet(markdown.with_suffix(".parquet"), _OVERVIEW if name == "runs" else None)
    headings = _OVERVIEW if name == "runs" else {c: c for c in table.column_names}
    columns = {heading: map(_cell, table[c].to_pylist()) for c, heading in headings.items()}
    return tabulate(columns, headers="keys", tablefmt="simple", disable_numparse=True) + "\n"


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
