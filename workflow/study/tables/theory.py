"""The table `theory`: what each trained model says of the paper's theorems, with the numbers."""

from collections.abc import Iterator, Sequence
from math import isnan, nan
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from model.measurement.theory.verdict import (
    Bracket,
    Verdict,
    at_most,
    discarded,
    every_step,
    identity,
)
from model.table import Table, column
from study.collecting.run_result import RunResult
from study.comparing.code import code_columns, code_note
from study.tables.latex import latex_table
from study.tables.markdown import with_caption
from study.tables.norm_segments import segments

# Rounding of float64, of the largest value and of the mean square; PyWavelets gives the taps of
# some wavelets to 12 digits.
CONJUGACY_TOLERANCE, ENERGY_TOLERANCE, WAVELET_ENERGY_TOLERANCE = 1e-14, 1e-12, 1e-10
BOUND_TOLERANCE = 1e-9  # relative
STEP_TOLERANCE = 1e-5  # relative; the network computes in float32
ZERO = 1e-8  # a norm below it is none, as in block_norms.parquet

PROJECTION = "pooling is the projection"
SUM = "energies add up"
BOUND = "bound by energies"
INEQUALITY = "inequality (3)"
STEPS = "blocks are two Euler steps"
START = "starts at 0"
RISE = "norm rises"

TABLE = Table(
    name="theory",
    row="probed run, statement and resolution",
    note="From `conjugacy.parquet`, `regularisation.parquet`, `increments.parquet` and "
    "`block_norms.parquet`. Each statement is left <= right. holds: an identity, or provable, "
    "up to rounding; consistent, violated: the brackets do not overlap; inconclusive: they do. "
    "What each number shows: docs/theory.md.",
    columns=[
        column("theorem", pa.int64(), "of the paper: 2, 3, 4 or 5"),
        column(
            "statement",
            pa.string(),
            f"{PROJECTION}, {SUM}, {BOUND}, {INEQUALITY}, {STEPS}, {START}, {RISE}",
        ),
        column("resolution", pa.int64(), "that it is about; null: all together", "pixels"),
        column("left_lower", pa.float64(), "left side, from below"),
        column("left_upper", pa.float64(), "left side, from above"),
        column("right_lower", pa.float64(), "right side, from below; a tolerance for identities"),
        column("right_upper", pa.float64(), "right side, from above; null where it is not known"),
        column("verdict", pa.string(), "holds, consistent, violated or inconclusive"),
        *code_columns("training", "probe"),
    ],
)


def rows(run: RunResult) -> Iterator[dict[str, Any]]:
    """One row per statement and resolution that there is one for."""
    training_code = run.training.joined("code_digest")
    for name, statements in [
        ("conjugacy", _of_pooling),
        ("regularisation", _of_bottleneck),
        ("increments", _of_steps),
        ("block_norms", _of_norms),
    ]:
        measured = run.table(name)
        code = {
            "training_code_digest": training_code,
            "probe_code_digest": run.about(name, "code_digest"),
        }
        if measured.num_rows:  # a model without towers has none
            yield from (row | code for row in statements(measured.to_pandas()))


def _row(
    theorem: int,
    statement: str,
    resolution: int | None,
    left: Bracket,
    right: Bracket,
    verdict: Verdict,
) -> dict[str, Any]:
    return {
        "theorem": theorem,
        "statement": statement,
        "resolution": resolution,
        "left_lower": _known(left.lower),
        "left_upper": _known(left.upper),
        "right_lower": _known(right.lower),
        "right_upper": _known(right.upper),
        "verdict": verdict,
    }


def _known(value: float) -> float | None:
    return None if isnan(value) else value


def _identity_row(
    theorem: int, statement: str, resolution: int | None, error: float, tolerance: float
) -> dict[str, Any]:
    both = Bracket(error, error), Bracket(tolerance, tolerance)
    return _row(theorem, statement, resolution, *both, identity(error, tolerance))


def _of_pooling(conjugacy: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Theorem 2: of each resolution, and of all energies together."""
    for resolution in dict.fromkeys(conjugacy["resolution"].tolist()):
        of_resolution = conjugacy[conjugacy["resolution"] == resolution]
        error = float(of_resolution["conjugacy_error"].max())
        yield _identity_row(2, PROJECTION, resolution, error, CONJUGACY_TOLERANCE)
    is_haar = conjugacy["pooling"].iloc[0] in ("average", "haar")
    tolerance = ENERGY_TOLERANCE if is_haar else WAVELET_ENERGY_TOLERANCE
    yield _identity_row(2, SUM, None, float(conjugacy["energy_sum_error"].max()), tolerance)


def _of_bottleneck(regularisation: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Theorem 3: the bound by energies, and the inequality of each pooling and of all together."""
    poolings = regularisation.to_dict("records")
    for at in poolings:
        above, others = at["energy_above"], at["distance_pooled_reconstructions"]
        pooled = at["distance_pooled_images"], at["distance_pooled_images_paired"]
        # The pooled images attain the bound; nothing on the coarser space is nearer.
        error = float(np.max([*(abs(distance - above) for distance in pooled), above - others]))
        verdict = identity(error, BOUND_TOLERANCE * above)
        right = Bracket(others, nan)
        yield _row(3, BOUND, at["resolution"], Bracket(above, above), right, verdict)
    total = Bracket(0.0, 0.0)
    for at in poolings:
        right = Bracket(at["distance_lower"], at["distance_paired"])
        constant = Bracket(at["lipschitz_lower"], at["lipschitz_upper"])
        left = discarded(at["detail_energy"], constant)
        total += left
        yield _row(3, INEQUALITY, at["resolution"], left, right, at_most(left, right))
    yield _row(3, INEQUALITY, None, total, right, at_most(total, right))


def _of_steps(increments: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Theorem 4, and the point mass at 0 of Theorem 5 at each resolution."""
    error = float(increments["euler_error"].max())
    yield _identity_row(4, STEPS, None, error, STEP_TOLERANCE)
    blocks = zip(increments["resolution"].tolist(), increments["initial_norm"], strict=True)
    for resolution, norm in dict(blocks).items():
        left, right = Bracket(norm, norm), Bracket(ZERO, ZERO)
        yield _row(5, START, resolution, left, right, at_most(left, right))


def _of_norms(block_norms: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Theorem 5: that the top-down state's mean norm rises at every step inside a resolution."""
    stretches = [s for s in segments(block_norms) if s["tower"] == "top-down"]
    rising, steps = (sum(s[name] for s in stretches) for name in ("num_rising", "num_steps"))
    share = rising / steps if steps else nan
    # All steps <= the share that rises.
    left, right = Bracket(1.0, 1.0), Bracket(share, share)
    yield _row(5, RISE, None, left, right, every_step(rising, steps))


def _verdict(of: pd.DataFrame) -> str:
    """The verdict, or how many resolutions have which: "2 violated, 1 consistent"."""
    counts = of["verdict"].value_counts()
    if len(counts) < 2:
        return "".join(counts.index)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _range(lower: float, upper: float) -> str:
    return f"{lower:.3g} to {upper:.3g}"


def _cells(of_run: pd.DataFrame) -> list[str]:
    """A run's verdicts for reading, in the order of `_HEADINGS`; "" for what it has none of."""
    of = {name: of_run[of_run["statement"] == name] for name in set(of_run["statement"])}
    none = of_run.iloc[:0]
    whole = of.get(INEQUALITY, none)
    whole = whole[whole["resolution"].isna()]
    sides = [
        f"{_range(row['left_lower'], row['left_upper'])} ≤ "
        f"{_range(row['right_lower'], row['right_upper'])}"
        for row in whole.to_dict("records")
    ]
    start, rise = of.get(START, none), of.get(RISE, none)
    norms = ", ".join(
        f"{row['resolution']:.0f}: {row['left_lower']:.2g}" for row in start.to_dict("records")
    )
    shares = [f"{share:.0%}" for share in rise["right_lower"] if pd.notna(share)]
    return [
        _verdict(pd.concat([of.get(PROJECTION, none), of.get(SUM, none)])),
        _verdict(of.get(BOUND, none)),
        _verdict(whole),
        *(sides or [""]),
        _verdict(of.get(STEPS, none)),
        _verdict(start),
        norms,
        " ".join([_verdict(rise), *(f"({share})".replace("%", " %") for share in shares)]),
    ]


_HEADINGS = [
    ("theorem 2:", "conjugacy"),
    ("theorem 3:", "bound by energies"),
    ("theorem 3:", "inequality (3)"),
    ("its sides,", "left ≤ right"),
    ("theorem 4:", "Euler steps"),
    ("theorem 5:", "starts at 0"),
    ("norm of Z_0", "by resolution"),
    ("theorem 5:", "norm rises"),
]


def _groups(theory: pd.DataFrame) -> list[list[list[str]]]:
    """The cells of each run, in groups of one dataset."""
    return [
        [
            [*map(str, identity_of_run), *_cells(of_run)]
            for identity_of_run, of_run in of_dataset.groupby(
                ["dataset", "variant", "seed"], sort=False
            )
        ]
        for _, of_dataset in theory.groupby("dataset", sort=False)
    ]


def _caption(theory: pd.DataFrame) -> str:
    """The caption, and a note where rows of one statement come of different code."""
    statements = theory.groupby("statement", sort=False)
    notes: Sequence[str] = [code_note(of_statement) for _, of_statement in statements]
    return " ".join([_CAPTION, *filter(None, dict.fromkeys(notes))])


def to_markdown(theory: pd.DataFrame) -> str:
    """The table in Markdown, one row per run, its caption above."""
    headings = ["dataset", "variant", "seed", *(f"{first} {rest}" for first, rest in _HEADINGS)]
    cells = [row for rows in _groups(theory) for row in rows]
    return with_caption(_caption(theory), headings, cells, num_left=len(headings))


def to_latex(theory: pd.DataFrame) -> str:
    """The same table in LaTeX."""
    headings = [("", "dataset"), ("", "variant"), ("", "seed"), *_HEADINGS]
    return latex_table(_caption(theory), "tab:theory", headings, _groups(theory))


_CAPTION = (
    "What trained models say of the paper's theorems, EMA weights, test images. Holds: an identity "
    "or provable, up to rounding. Consistent, violated: both sides are known well enough to tell. "
    "Inconclusive: they are not; of inequality (3) Lipschitz constants and Wasserstein distances "
    "are known within brackets only. Norm rises: share of the top-down steps inside a resolution. "
    "Each resolution's numbers are in theory.parquet; what they show and what not is in "
    "docs/theory.md."
)
