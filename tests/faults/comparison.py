"""What differs between a killed study and an undisturbed one, and what the kills have left."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from faulted_study import FaultedStudy
from safetensors import safe_open

# Of when, where and how fast; the rest of `train.json` is a result.
CIRCUMSTANCES = {
    *("resumes", "wall_seconds", "started", "gpu_hours", "peak_memory_bytes", "segments"),
    *("host", "threads"),
}
# Of a study: hours, hosts and each process that trained have tables of their own.
TABLES_OF_CIRCUMSTANCES = ("timings.parquet", "segments.parquet")
# What Snakemake and the executor keep of commands that have ended.
RECORDS = ("log", "metadata", "auxiliary")
PERMANENT = ("ledger.jsonl", "guard")  # of the executor's jobs; of the heads' locks


def differences(study: FaultedStudy, undisturbed: FaultedStudy) -> list[str]:
    """A line for each result that is not bit for bit that of the undisturbed study."""
    lines = []
    names, expected = _results(study), _results(undisturbed)
    lines += [f"{name} is missing" for name in sorted(expected - names)]
    lines += [f"{name} is too much" for name in sorted(names - expected)]
    for name in sorted(expected & names):
        if Path(name).name not in TABLES_OF_CIRCUMSTANCES:
            found, wanted = study.results / name, undisturbed.results / name
            lines += [f"{name}: {text}" for text in _file_differences(found, wanted)]
    lines += [line for file in study.results.rglob("train.json") for line in _gaps(file)]
    return lines


def _results(study: FaultedStudy) -> set[str]:
    """The files that count; states, logs and what hides are no results."""
    names = (path.relative_to(study.results) for path in study.results.rglob("*") if path.is_file())
    return {
        str(name)
        for name in names
        if not {"state", "logs"} & set(name.parts)
        and not any(p.startswith(".") for p in name.parts)
    }


def _file_differences(found: Path, wanted: Path) -> Iterator[str]:
    if found.suffix == ".safetensors":
        yield from _changed(_tensors(found), _tensors(wanted))
    elif found.suffix == ".parquet":
        tables = pq.read_table(found), pq.read_table(wanted)
        yield from _changed(*map(_columns, tables))
    elif found.suffix == ".json":
        yield from _changed(*(json.loads(file.read_text()) for file in (found, wanted)))
    elif found.read_bytes() != wanted.read_bytes():
        yield "other bytes"


def _changed(found: dict[str, object], wanted: dict[str, object]) -> Iterator[str]:
    for key in sorted({*found, *wanted} - CIRCUMSTANCES):
        if key not in found or key not in wanted or found[key] != wanted[key]:
            yield f"{key} differs"


def _tensors(file: Path) -> dict[str, object]:
    """Of each tensor its type, shape and bytes; and the file's metadata."""
    with safe_open(file, "numpy") as weights:
        tensors = {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118
        metadata = weights.metadata() or {}
    values = {name: (str(x.dtype), x.shape, x.tobytes()) for name, x in tensors.items()}
    return {**values, "metadata": metadata}


def _columns(table: pa.Table) -> dict[str, object]:
    """The values of each column, to be compared bit for bit: NaN is not equal to itself."""
    columns: dict[str, object] = {
        name: repr(table[name].to_pylist()) for name in table.column_names
    }
    return {**columns, "schema": (table.schema.names, table.schema.types, table.schema.metadata)}


def _gaps(file: Path) -> Iterator[str]:
    """Segments of a training that do not follow one another from step 0 to the last."""
    summary = json.loads(file.read_text())
    step = 0
    for segment in summary.get("segments", []):
        if segment["first_step"] != step:
            yield f"{file.parent}: a segment begins at {segment['first_step']}, not at {step}"
        step = segment["last_step"]
    if "segments" in summary and step != summary["step"]:
        yield f"{file.parent}: the segments end at {step}, not at {summary['step']}"


def leftovers(study: FaultedStudy) -> list[str]:
    """The files that should be gone when the study is done: temporary ones, locks, jobs' files."""
    directory = study.directory
    hidden = [
        path
        for folder in ("results", "data")
        for path in (directory / folder).rglob("*")
        if path.name.startswith(".") or path.suffix == ".damaged"
    ]
    states = [
        path
        for folder in study.results.rglob("state*")
        if folder.is_dir()
        for path in _superfluous_states(folder)
    ]
    kept = [
        path
        for path in (directory / ".snakemake").rglob("*")
        if path.is_file()
        and path.relative_to(directory / ".snakemake").parts[0] not in RECORDS
        and path.name not in PERMANENT
    ]
    return sorted(str(path.relative_to(directory)) for path in [*hidden, *states, *kept])


def _superfluous_states(folder: Path) -> list[Path]:
    """Resume states beyond the two newest and that of the end; all of a folder set aside."""
    if folder.name != "state":
        return list(folder.iterdir())
    states = sorted(folder.rglob("step*.pt"))
    return [path for path in states if not path.name.endswith(".end.pt")][:-2]
