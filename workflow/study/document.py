"""What the documentation says of tables and ablations, from the tables and config.yaml."""

from collections.abc import Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from textwrap import fill

import pyarrow as pa

from model.files import write_text
from model.run_tables import RUN_TABLES, module_of
from model.table import ResultError, Table
from study.planning.config_file import ConfigFile
from study.registry import ABLATION_OUTPUTS, STUDY_TABLES, outputs_of
from study.tables.identity import IDENTITY

WIDTH = 110  # characters of a line of prose
BEGIN_COLUMNS = "<!-- From here to the end: written by `python -m study document`. -->"
BEGIN_ABLATIONS = "<!-- From here: written by `python -m study document`, out of config.yaml. -->"
END_ABLATIONS = "<!-- To here. -->"


def write_documents(root: Path) -> None:
    """Bring results/README.md and docs/ablations.md up to date; raises ResultError, ConfigError."""
    for path, text in documents(root).items():
        write_text(path, text)


def documents(root: Path) -> dict[Path, str]:
    """The files that are written in part, as they should be."""
    readme, ablations = root / "results/README.md", root / "docs/ablations.md"
    before, _ = _cut(readme, BEGIN_COLUMNS)
    columns = f"{before}{BEGIN_COLUMNS}\n\n{column_sections()}"
    before, rest = _cut(ablations, BEGIN_ABLATIONS)
    after = rest[rest.index(END_ABLATIONS) :] if END_ABLATIONS in rest else rest
    table = ablations_table(ConfigFile.load(root / "config.yaml", "paper"))
    return {
        readme: columns,
        ablations: f"{before}{BEGIN_ABLATIONS}\n\n{table}\n{after}",
    }


def _cut(path: Path, marker: str) -> tuple[str, str]:
    """A file's text before and after a line; raises ResultError if there is no such line."""
    text = path.read_text(encoding="utf-8")
    if marker not in text:
        raise ResultError(f"{path}: the line {marker!r} is missing; put it before what is written")
    before, after = text.split(marker, 1)
    return before, after


def ablations_table(file: ConfigFile) -> str:
    """Each ablation of config.yaml: what it compares, and the fields in which variants differ."""
    rows = []
    for name, ablation in file.ablations.items():
        fields = dict.fromkeys(
            field
            for variant in ablation.all_variants
            for ancestor in file.lineage(variant)
            for field in file.variants[ancestor].fields
        )
        variants = ", ".join(f"`{variant}`" for variant in dict.fromkeys(ablation.all_variants))
        suffixes = [ABLATION_OUTPUTS[o].suffix for o in outputs_of(name, ablation.refinement)]
        own = ", ".join(f"`{name}{suffix}`" for suffix in suffixes if suffix) or "–"
        rows.append(
            f"| `{name}` | **{ablation.title}.** {ablation.description} | {variants} | "
            f"{', '.join(f'`{field}`' for field in fields) or '–'} | {own} |"
        )
    return "\n".join(
        [
            "| ablation | what it compares | variants | fields | table and figure of its own |",
            "|---|---|---|---|---|",
            *rows,
            "",
        ]
    )


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
