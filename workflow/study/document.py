"""The sections of results/README.md that say what each table holds, from the tables themselves."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from textwrap import fill

import pyarrow as pa

from model.files import write_text
from model.run_tables import RUN_TABLES, module_of
from model.table import ResultError, Table
from study.registry import ABLATION_OUTPUTS, STUDY_TABLES
from study.tables.identity import IDENTITY

WIDTH = 110  # characters of a line of prose
BEGIN = "<!-- From here to the end: written by `python -m study document`. -->"


def write_column_sections(readme: Path) -> None:
    """Replace the sections after the line BEGIN; raises ResultError if there is no such line."""
    text = readme.read_text(encoding="utf-8")
    if BEGIN not in text:
        raise ResultError(f"{readme}: the line {BEGIN!r} is missing; put it before the sections")
    kept = text[: text.index(BEGIN)]
    write_text(readme, f"{kept}{BEGIN}\n\n{column_sections()}")


def column_sections() -> str:
    """A section per table: what a row stands for, and each column with type, unit and meaning."""
    collected = ", ".join(f"`{name}`" for name in STUDY_TABLES)
    return "\n".join(
        [
            fill(f"{collected} begin with the identity of a run, and are ordered by it:", WIDTH)
            + "\n",
            *_columns(IDENTITY),
            *(line for name in STUDY_TABLES for line in _section(f"{name}.parquet", _table(name))),
            *(
                line
                for name, output in ABLATION_OUTPUTS.items()
                for line in _section(
                    f"{{ablation}}{output.suffix}.parquet", import_module(output.table).TABLE
                )
            ),
            *(
                line
                for name, entry in RUN_TABLES.items()
                if not entry.is_collected
                for line in _section(f"runs/.../{name}.parquet", module_of(name).TABLE)
            ),
            "",
        ]
    )


def _table(name: str) -> Table:
    module = STUDY_TABLES[name].module
    table: Table = (module_of(name) if module is None else import_module(module)).TABLE
    return table


def _section(file: str, table: Table) -> Iterator[str]:
    yield f"\n### `{file}`\n"
    yield fill(f"One row per {table.row}. {table.note}", WIDTH) + "\n"
    yield from _columns(table.columns)


def _columns(columns: Sequence[pa.Field]) -> Iterable[str]:
    yield "| column | type | unit | meaning |"
    yield "|---|---|---|---|"
    for field in columns:
        about = {key.decode(): value.decode() for key, value in field.metadata.items()}
        meaning = about["description"].replace("|", "\\|")
        yield f"| `{field.name}` | {_type(field.type)} | {about.get('unit', '')} | {meaning} |"


def _type(arrow_type: pa.DataType) -> str:
    if pa.types.is_list(arrow_type):
        return f"list of {arrow_type.value_type}"
    return str(arrow_type)
