"""Learning curves, as numbers and drawn in a terminal."""

from collections.abc import Mapping, Sequence
from math import ceil, floor, isfinite, log10
from pathlib import Path

import numpy as np
import plotille

from model.config import ModelConfig
from model.table import read_parquet
from study.unit import in_unit

Curve = list[tuple[int, float]]  # step, NLL in the dataset's unit
COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red")
TOP_PERCENT = 95  # of the values: the first ones would flatten all others
FEW = 40  # of so many, all are shown
BLANK = "\u2800"  # of Braille
HEIGHT = 14
TICK = 10  # of plotille: columns from one step that is named to the next
ROUND = (1, 2, 4, 5)
FIRST_COLUMN, SPARE = 13, 16  # of plotille: the labels at the left, the arrow at the right


def read_curves(path: Path, model: ModelConfig) -> dict[str, Curve]:
    """The curves of a run's `history.parquet`: train (raw weights) and valid (averaged ones)."""
    table = read_parquet(path, ["step", "split", "weights", "nll_nats"]).to_pylist()
    curves: dict[str, Curve] = {}
    for split, weights in (("train", "raw"), ("valid", "ema")):
        points = [
            (row["step"], in_unit(row["nll_nats"], model.unit, model.likelihood_dims))
            for row in table
            if (row["split"], row["weights"]) == (split, weights) and row["nll_nats"] is not None
        ]
        if points:
            curves[split] = points
    return curves


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean over runs, at the steps that all of them have."""
    by_step = [dict(curve) for curve in curves]
    steps = [step for step, _ in curves[0] if all(step in values for values in by_step)]
    return [(step, float(np.mean([values[step] for values in by_step]))) for step in steps]


def drawn(curves: Mapping[str, Curve], unit: str, width: int, *, with_colours: bool) -> str:
    """Curves in the characters of a terminal; "" if there is nothing to draw."""
    finite = {name: [p for p in points if isfinite(p[1])] for name, points in curves.items()}
    values = [value for points in finite.values() for _, value in points]
    if len(set(values)) < 2:
        return ""
    low, high = min(values), max(values)
    if len(values) > FEW:
        high = float(np.percentile(values, TOP_PERCENT))
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    figure = plotille.Figure()
    steps = sorted({step for points in finite.values() for step, _ in points})
    first, spacing, figure.width = _axis(steps, max(20, min(100, width - FIRST_COLUMN - SPARE)))
    figure.height = HEIGHT
    figure.origin = False  # no line where a step is 0
    figure.color_mode, figure.with_colors = "names", with_colours
    figure.set_x_limits(min_=first, max_=first + figure.width * spacing / TICK)
    figure.set_y_limits(min_=low - margin, max_=high + margin)
    figure.x_label, figure.y_label = "step", unit
    figure.x_ticks_fkt = lambda value, _: f"{value:,.0f}"
    decimals = max(0, -floor(log10((high - low + 2 * margin) / HEIGHT)))
    figure.y_ticks_fkt = lambda value, _: f"{value:,.{decimals}f}"
    for number, (name, points) in enumerate(finite.items()):
        shown = [point for point in points if point[1] <= high + margin]
        if shown:
            xs, nlls = zip(*shown, strict=True)
            marker = None if with_colours or number == 0 else "ox+*#"[(number - 1) % 5]
            colour = COLOURS[number % len(COLOURS)]
            figure.plot(xs, nlls, lc=colour, label=name, marker=marker)
    text: str = figure.show(legend=True)
    return "\n".join(line.rstrip(f" {BLANK}") for line in text.splitlines())


def _axis(steps: Sequence[int], room: int) -> tuple[int, int, int]:
    """The first step of an axis, the steps between two that are named, and the axis' columns.

    All that are named are round, and as much of the room is used as that allows.
    """
    for spacing in (number * 10**exponent for exponent in range(18) for number in ROUND):
        first = steps[0] // spacing * spacing
        columns = ceil((steps[-1] - first) * TICK / spacing)
        if columns <= room:
            return first, spacing, max(TICK, columns)
    raise AssertionError(steps)
