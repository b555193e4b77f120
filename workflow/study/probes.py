"""From probed runs to the tables probe, instability and norms of a study."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from model.config import RunConfig
from study.norms import segments
from study.runs import IDENTITY, ResultError, column

_PROBE = [
    column("tower", pa.string(), "bottom-up or top-down"),
    column("block", pa.int64(), "applied block, from 0, in the order of the tower's pass"),
    column("resolution", pa.int64(), "height = width of the state after the block, pixels"),
    column("repeat", pa.int64(), "which application of its weights the block is, from 0"),
    column("norm", pa.float64(), "Euclidean norm of the state after the block, mean over images"),
    column(
        "norm_standard_deviation",
        pa.float64(),
        "standard deviation of that norm over images (ddof 1)",
    ),
    column(
        "norm_batch_standard_deviation",
        pa.float64(),
        "standard deviation of its means over batches (ddof 1); NaN for one batch",
    ),
    column(
        "norm_in",
        pa.float64(),
        "norm of the state x that the block gets, after mixing in; first top-down block: of Z_0",
    ),
    column(
        "backward_error_prior",
        pa.float64(),
        "norm of the prior features / norm of x, mean over images; null for bottom-up",
    ),
    column(
        "backward_error_prior_batch_standard_deviation",
        pa.float64(),
        "standard deviation of its means over batches (ddof 1)",
    ),
    column(
        "backward_error_latent",
        pa.float64(),
        "norm of (prior features + projected latent) / norm of x; null for bottom-up",
    ),
    column(
        "backward_error_latent_batch_standard_deviation",
        pa.float64(),
        "standard deviation of its means over batches (ddof 1)",
    ),
    column(
        "num_masked",
        pa.int64(),
        "images in no backward error, norm of x below 1e-8; null for bottom-up",
    ),
    column("num_images", pa.int64(), "test images that the means are over"),
    column("num_batches", pa.int64(), "batches that they are split into"),
]
_INSTABILITY = [
    column("temperature", pa.float64(), "factor on the prior's sigma in every layer"),
    column("resolution", pa.int64(), "resolution whose detail the energy is of, pixels"),
    column(
        "energy_samples",
        pa.float64(),
        "energy of the samples (pixel values 0 ... 1) in that detail, mean over samples",
    ),
    column("energy_samples_standard_error", pa.float64(), "its standard error (ddof 1)"),
    column("energy_test", pa.float64(), "the same energy of the test images"),
    column(
        "histogram_distance",
        pa.float64(),
        "Wasserstein-1 distance of samples' and test images' pixel histograms, grey levels; "
        "one number per temperature",
    ),
    column("num_samples", pa.int64(), "samples of each temperature"),
    column("num_images", pa.int64(), "test images"),
]
PROBE = pa.schema([*IDENTITY, *_PROBE])
INSTABILITY = pa.schema([*IDENTITY, *_INSTABILITY])
NORMS = pa.schema(
    [
        *IDENTITY,
        column("tower", pa.string(), "bottom-up or top-down"),
        column("segment", pa.int64(), "stretch of blocks at one resolution, from 0"),
        column("resolution", pa.int64(), "height = width of its states, pixels"),
        column("num_blocks", pa.int64(), "applied blocks in it"),
        column("num_steps", pa.int64(), "steps inside it, from one block's state to the next's"),
        column("num_rising", pa.int64(), "steps whose mean norm rises by more than 0.01 %"),
        column(
            "norm_before",
            pa.float64(),
            "mean norm of the state before it; first segment: of the tower's initial state",
        ),
        column("norm_first", pa.float64(), "mean norm after its first block"),
        column("norm_last", pa.float64(), "mean norm after its last block"),
        column(
            "jump_ratio",
            pa.float64(),
            "norm_first / norm_before; null for the first segment, which no jump leads to",
        ),
        column(
            "rms_jump_ratio",
            pa.float64(),
            "the same of root mean squares: jump_ratio x resolution before / resolution",
        ),
    ]
)


def collect_probes(study: str, directories: Iterable[Path]) -> dict[str, pa.Table]:
    """The tables probe, instability and norms of a study, ordered by dataset, variant, seed."""
    parts: dict[str, list[pa.Table]] = {
        "probe": [PROBE.empty_table()],
        "instability": [INSTABILITY.empty_table()],
        "norms": [NORMS.empty_table()],
    }
    read = [
        (RunConfig.load(d / "config.yaml"), d) for d in sorted({d.absolute() for d in directories})
    ]
    for run, directory in sorted(read, key=lambda r: (r[0].dataset, r[0].variant, r[0].seed)):
        identity = {
            "study": study,
            "dataset": run.dataset,
            "variant": run.variant,
            "seed": run.seed,
        }
        probe = _read(directory / "probe.parquet", run, PROBE, identity)
        parts["probe"].append(probe)
        parts["instability"].append(
            _read(directory / "instability.parquet", run, INSTABILITY, identity)
        )
        rows = [identity | segment for segment in segments(probe.to_pandas())]
        parts["norms"].append(pa.Table.from_pylist(rows, schema=NORMS))
    return {name: pa.concat_tables(tables) for name, tables in parts.items()}


def _read(path: Path, run: RunConfig, schema: pa.Schema, identity: Mapping[str, Any]) -> pa.Table:
    """One file of a run with the run's identity before its columns; raises ResultError."""
    if not path.is_file():
        raise ResultError(f"{path} is missing: probe this run first (python -m model.probe)")
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise ResultError(f"{path}: {str(error).splitlines()[0]}") from None
    found = (table.schema.metadata or {}).get(b"config_hash", b"").decode()
    if found != run.hash:
        raise ResultError(
            f"{path}: config_hash is {found}, but the run has {run.hash}; probe this run again"
        )
    missing = set(schema.names) - set(identity) - set(table.column_names)
    if missing:
        raise ResultError(f"{path}: column {min(missing)} is missing; probe this run again")
    for name, value in identity.items():
        constant = pa.repeat(pa.scalar(value, schema.field(name).type), table.num_rows)
        table = table.append_column(name, constant)
    return table.select(schema.names).cast(schema)


def row_by_row(values: Iterable[object]) -> str:
    """A value that all rows of a figure share, or each row's, for a figure's note."""
    texts = [f"{value:,}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"{' / '.join(texts)} (row by row)"


def select_run(table: pd.DataFrame, dataset: str, variant: str) -> pd.DataFrame:
    """The rows of the probed run of a variant; raises ResultError if there are none."""
    found = table[(table["dataset"] == dataset) & (table["variant"] == variant)]
    if found.empty:
        raise ResultError(
            f"the tables of probes have no run of {dataset}/{variant}; probe it, then write them "
            "with `python -m study probes`"
        )
    return found[found["seed"] == found["seed"].min()]
