"""Tables of a study for a terminal, a pipe or a program."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from model.config import ModelConfig, TrainConfig
from model.files import AGAIN
from model.table import ResultError, read_file, read_parquet
from model.validation import nearest
from study.place import default_study
from study.planning.ablation import Ablation
from study.registry import ABLATION_OUTPUTS, STUDY_TABLES, outputs_of
from study.table_query import chosen, filtered, ordered
from study.text_table import Column, Part, as_json, print_parts

if TYPE_CHECKING:
    import pandas as pd

# What the overview shows of the many columns of runs, and under which heading.
OVERVIEW = {
    "dataset": "dataset",
    "variant": "variant",
    "seed": "seed",
    "status": "status",
    "nll_nats": "test NLL (nats)",
    "nll_bits_per_dim": "test NLL (bits/dim)",
    "nll_evaluation_error_nats": "± over images (nats)",
    "iw_nll_nats": "IW bound (nats)",
    "rate_nats": "rate (nats)",
    "num_parameters": "parameters",
    "stochastic_depth": "depth",
    "iterations_done": "iterations done",
}
# Of tables for reading, these columns leave a narrow terminal first; then others from the right.
_LEAVING = (
    *("latents", "evaluation error", "GPU hours", "depth", "IW bound", "rate", "parameters"),
    "seeds",
)
_SETTINGS = {
    field.name
    for config in (ModelConfig, TrainConfig)
    for field in dataclasses.fields(config)
    if not field.metadata.get("from_data")
}


def find_study(results: Path, study: str | None, config: Path) -> Path:
    """The folder of a study with tables; raises ResultError.

    Of several, it is the one that config.yaml names, and a line on stderr says so.
    """
    found = sorted({path.parent.parent.name for path in results.glob("*/tables/*.parquet")})
    if study in found:
        return results / study
    if not found or study is not None:
        raise ResultError(_without_tables(results, study, found))
    chosen_study = default_study(found, config)
    if chosen_study is None:
        raise ResultError(f"{results}: name one with --study; there are {', '.join(found)}")
    if len(found) > 1:
        others = ", ".join(name for name in found if name != chosen_study)
        print(f"study {chosen_study}, which {config} names; --study has {others}", file=sys.stderr)
    return results / chosen_study


def _without_tables(results: Path, study: str | None, found: Sequence[str]) -> str:
    """What is wrong where a study has no tables, and what makes some."""
    begun = sorted(path.parent.name for path in results.glob("*/runs"))
    if study is None and len(begun) == 1:
        (study,) = begun
    name = study or "STUDY"
    if study in begun or (study is None and begun):
        what = f"{results / study}: no tables yet" if study else f"{results}: no tables yet"
        return (
            f"{what}: snakemake writes them when all runs have ended; "
            f"`study partial --study {name}` makes those of the runs that have"
        )
    if found:
        return f"{results / name}: no tables; there are those of {', '.join(found)}"
    return f"{results}: no study has tables yet: run snakemake first"


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
        raise ResultError(f"no table {name!r} in {study_dir}{nearest(name, known)}")
    markdown = study_dir / "tables" / f"{name}.md"
    if markdown.exists() and not (where or sort or reverse or columns or json):
        try:
            _print_markdown(read_file(markdown).decode())
        except UnicodeDecodeError as error:
            raise ResultError(f"{markdown}: {error}; {AGAIN}") from None
        return
    table = read_parquet(markdown.with_suffix(".parquet"))
    integers = {field.name for field in table.schema if str(field.type).startswith("int")}
    frame = table.to_pandas()  # which makes floats of integers where some are null
    frame = filtered(frame, where)
    if sort:
        frame = ordered(frame, sort, reverse=reverse)
    elif reverse:
        frame = frame[::-1]
    headings = {}
    if columns:
        frame = chosen(frame, columns)
    elif name == "runs" and not json:
        if missing := [column for column in OVERVIEW if column not in frame]:
            path = markdown.with_suffix(".parquet")
            raise ResultError(f"{path}: column {missing[0]} is missing; {AGAIN}")
        frame, headings = frame[_overview(frame)], OVERVIEW
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
    rows = [
        [
            _cell(value, is_setting=column in _SETTINGS, is_integer=column in integers)
            for value, column in zip(row, frame.columns, strict=True)
        ]
        for row in frame.itertuples(index=False)
    ]
    parts: list[Part] = [(described, rows)] if rows else ["no row meets the conditions"]
    print_parts(parts, "--columns names those to show")


def _overview(frame: "pd.DataFrame") -> list[str]:
    """The columns of the overview, an NLL in bits/dim first where that is the unit of all rows."""
    columns = [*OVERVIEW]
    if len(frame) and (frame["unit"] == "bits/dim").all():
        at = columns.index("nll_nats")
        columns[at : at + 2] = columns[at + 1], columns[at]
    return columns


def _print_markdown(text: str) -> None:
    """Print a table that `with_caption` wrote: as it is for a pipe, fitted for a terminal."""
    if not Console().is_terminal:
        print(text, end="")
        return
    parts = [_part(block) for block in text.strip().split("\n\n")]
    between = [part for block in parts for part in ("", block)][1:]
    print_parts(between, "a wider terminal or a pipe has them")


def _part(block: str) -> Part:
    """A paragraph, or a table in Markdown."""
    if not block.startswith("|"):
        return block
    headings, rules, *rows = (
        [cell.strip() for cell in line.strip("|").split(" | ")]
        if number != 1
        else line.strip("|").split("|")
        for number, line in enumerate(block.splitlines())
    )
    leaving = [_rank(heading, number) for number, heading in enumerate(headings)]
    columns = [
        Column(heading, rule.lstrip(":").endswith(":"), leaves)
        for heading, rule, leaves in zip(headings, rules, leaving, strict=True)
    ]
    return columns, rows


def _rank(heading: str, number: int) -> int | None:
    """When a column leaves: the higher, the sooner."""
    if number < 2:
        return None
    name = heading.partition(" (")[0]
    return 1000 - _LEAVING.index(name) if name in _LEAVING else number


def _cell(value: Any, *, is_setting: bool, is_integer: bool) -> str:
    """A setting as it was typed, a result rounded; "" for null."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or value != value:  # NaN
        return ""
    if is_integer or (isinstance(value, int) and not isinstance(value, bool)):
        return str(int(value)) if is_setting else f"{int(value):,}"
    if isinstance(value, float) and not is_setting:
        return f"{value:.4f}" if value == 0 or abs(value) >= 5e-5 else f"{value:.1e}"
    return str(value)
