"""The table `norm_segments`: how the state's norm goes inside a resolution, and jumps between them.

It makes numbers of figure 5.
"""

from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

import pandas as pd
import pyarrow as pa

from model.table import Table, column
from study.collecting.run_result import RunResult
from study.comparing.code import code_columns, with_note
from study.tables.markdown import with_caption

LEAST_RISE = 1e-4  # relative; a normalised state's norm differs from 1 by rounding and its epsilon

TABLE = Table(
    name="norm_segments",
    row="probed run, tower and stretch of blocks at one resolution",
    note="From `block_norms.parquet`: how often the norm rises inside a resolution, and how it "
    "jumps between them.",
    columns=[
        column("tower", pa.string(), "bottom-up or top-down"),
        column("segment", pa.int64(), "stretch of blocks at one resolution, from 0"),
        column("resolution", pa.int64(), "height = width of its states", "pixels"),
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
        *code_columns("training", "probe"),
    ],
)


def rows(run: RunResult) -> Iterator[dict[str, Any]]:
    """One row per stretch of blocks at one resolution."""
    code = {
        "training_code_digest": run.training.joined("code_digest"),
        "probe_code_digest": run.about("block_norms", "code_digest"),
    }
    return (row | code for row in segments(run.table("block_norms").to_pandas()))


def segments(block_norms: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One row per stretch of blocks at one resolution, of the state norms of one run."""
    for tower, of_tower in block_norms.groupby("tower", sort=False):
        blocks = of_tower.sort_values("block").to_dict("records")
        norm_before, resolution_before = blocks[0]["norm_in"], 0
        stretches = groupby(blocks, key=lambda block: block["resolution"])
        for index, (resolution, stretch) in enumerate(stretches):
            norms = [block["norm"] for block in stretch]
            ratio = norms[0] / norm_before if index and norm_before else None
            yield {
                "tower": tower,
                "segment": index,
                "resolution": resolution,
                "num_blocks": len(norms),
                "num_steps": len(norms) - 1,
                "num_rising": sum(b > a * (1 + LEAST_RISE) for a, b in pairwise(norms)),
                "norm_before": norm_before,
                "norm_first": norms[0],
                "norm_last": norms[-1],
                "jump_ratio": ratio,
                "rms_jump_ratio": ratio and ratio * resolution_before / resolution,
            }
            norm_before, resolution_before = norms[-1], resolution


def rising(norms: pd.DataFrame) -> str:
    """How many of the steps inside the resolutions raise the mean norm, "3 of 4 (75 %)"."""
    steps, up = int(norms["num_steps"].sum()), int(norms["num_rising"].sum())
    return f"{up} of {steps} ({up / steps:.0%})".replace("%", " %") if steps else "no step"


def to_markdown(norms: pd.DataFrame) -> str:
    """The table in Markdown, one row per run and tower, its caption above."""
    rows = []
    runs = norms.groupby(["dataset", "variant", "seed", "tower"], sort=False)
    for (dataset, variant, seed, tower), of_tower in runs:
        jumps = zip(
            of_tower["resolution"].shift(fill_value=0),
            of_tower["resolution"],
            of_tower["jump_ratio"],
            of_tower["rms_jump_ratio"],
            strict=True,
        )
        cells = [f"{a}→{b}: ×{jump:.2f} ({rms:.2f})" for a, b, jump, rms in list(jumps)[1:]]
        initial = f"{of_tower['norm_before'].iloc[0]:.3g}"
        rows.append([dataset, variant, seed, tower, initial, rising(of_tower), ", ".join(cells)])
    headings = [
        "dataset",
        "variant",
        "seed",
        "tower",
        "initial norm",
        "rising steps",
        "jumps (RMS)",
    ]
    return with_caption(with_note(_CAPTION, norms), headings, rows, num_left=len(headings))


_CAPTION = (
    "Euclidean norm of the residual state after each applied block, posterior pass over test "
    "images, EMA weights, mean over the images. Initial norm: of the state before the first block. "
    "Rising steps: of the steps between neighbouring blocks at one resolution, those whose mean "
    "norm rises by more than 0.01 %. Jumps: mean norm after the first block at a resolution / "
    "after the last block at the resolution before; in brackets the same of root mean squares, "
    "since upsampling by a factor alone multiplies the norm by it."
)
