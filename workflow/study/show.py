"""Tables of a study for a terminal, a pipe or a program."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.files import AGAIN
from model.table import ResultError, read_file, read_parquet
from model.validation import nearest
from study.planning.ablation import Ablation
from study.registry import ABLATION_OUTPUTS, STUDY_TABLES, outputs_of
from study.table_query import chosen, filtered, ordered
from study.text_table import Column, as_json, print_parts

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
    ablations = map(Ablation.load, sorted((study_dir / "ablations").glob("*.yaml")))
    return [
        *STUDY_TABLES,
        *(
            ablation.name + ABLATION_OUTPUTS[name].suffix
            for ablation in ablations
            for name in outputs_of(ablation.name, ablation.refinement)
        ),
    ]


def show_table(
    study_dir: Path,
    name: str,
    *,
    where: Sequence[str] = (),
    sort: Sequence[str] = (),
    reverse: bool = False,
    columns: Sequence[str] = (),
    json: bool = False,
) -> None:
    """Print a table: as it is written for reading, or what is asked of it; raises ResultError."""
    known = table_names(study_dir)
    if name not in known:
        raise ResultError(
            f"no table {name!r} in {study_dir}{nearest(name, known)}; there are {', '.join(known)}"
        )
    markdown = study_dir / "tables" / f"{name}.md"
    if markdown.exists() and not (where or sort or reverse or columns or json):
        try:
            print(read_file(markdown).decode(), end="")
        except UnicodeDecodeError as error:
            raise ResultError(f"{markdown}: {error}; {AGAIN}") from None
        return
    frame = read_parquet(markdown.with_suffix(".parquet")).to_pandas()
    frame = filtered(frame, where)
    if sort:
        frame = ordered(frame, sort, reverse=reverse)
    elif reverse:
        frame = frame[::-1]
    headings = {}
    if columns:
        frame = chosen(frame, columns)
    elif name == "runs" and not json:
        if missing := [column for column in _OVERVIEW if column not in frame]:
            path = markdown.with_suffix(".parquet")
            raise ResultError(f"{path}: column {missing[0]} is missing; {AGAIN}")
        frame, headings = frame[[*_OVERVIEW]], _OVERVIEW
    if json:
        print(as_json(frame.astype(object).where(frame.notna(), None).to_dict("records")))
        return
    # Where a terminal is narrow, those that were not asked for leave from the right.
    described = [
        Column(
            headings.get(column, str(column)),
            is_number=frame[column].dtype.kind in "if",
            leaves=None if columns or number < 2 else number,
        )
        for number, column in enumerate(frame.columns)
    ]
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    print_parts([(described, rows)] if rows else ["no row meets the conditions"])


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
