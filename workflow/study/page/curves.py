"""Learning curves to zoom and hover: Vega-Lite charts, whose program lies in the page.

Vega-Lite and not Plotly: 0.9 MB instead of 4 MB in each page, and a chart is data, not code.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from math import isfinite
from typing import Any

import numpy as np
import vl_convert
from matplotlib.colors import to_hex

from study.figures.variant_style import VariantStyle
from study.unit import UNIT_LABEL, in_unit

Row = Mapping[str, Any]

MOST_POINTS = 200  # of a curve: more are no wider than a line
TOP_PERCENT = 90  # of the values: the first ones would flatten all others
_DASHES = {"-": [1, 0], "--": [6, 3], ":": [2, 2], "-.": [6, 2, 2, 2]}
_SPLITS = {("train", "raw"): "train", ("valid", "ema"): "valid"}


@cache
def vega_program() -> str:
    """The JavaScript of Vega, Vega-Lite and Vega-Embed: `vegaEmbed` for the page."""
    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")).replace(
        "</script", "<\\/script"
    )


def curves_of(history: Iterable[Row], runs: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """The curves of each dataset, in its unit, of the tables `history` and `runs`."""
    by_run = {_identity(run): run for run in runs}
    points: dict[tuple[Any, ...], list[tuple[int, float]]] = {}
    for row in history:
        split = _SPLITS.get((row["split"], row["weights"]))
        nll = row["nll_nats"]
        if split is None or nll is None or not isfinite(nll):
            continue
        run = by_run[_identity(row)]
        value = in_unit(nll, run["unit"], run["likelihood_dims"])
        points.setdefault((*_identity(row), split), []).append((row["step"], value))
    curves: dict[str, list[dict[str, Any]]] = {}
    for (dataset, variant, seed, split), of_run in points.items():
        shown = _thin(of_run)
        curves.setdefault(dataset, []).append(
            {
                "variant": variant,
                "seed": seed,
                "split": split,
                "steps": [step for step, _ in shown],
                "nlls": [float(f"{nll:.6g}") for _, nll in shown],
            }
        )
    return curves


def chart(
    curves: Sequence[Mapping[str, Any]], styles: Mapping[str, VariantStyle], unit: str
) -> dict[str, Any]:
    """The Vega-Lite chart of variants on a dataset; the page gives it their curves."""
    low, high = _limits(curve["nlls"] for curve in curves)
    colours = {
        "field": "variant",
        "type": "nominal",
        "scale": {
            "domain": list(styles),
            "range": [to_hex(style.colour) for style in styles.values()],
        },
        "legend": {
            "orient": "top", "title": None, "symbolType": "stroke",
            "columns": {"expr": "max(1, floor(width / 130))"},
        },
    }  # fmt: skip
    dashes = {
        "field": "variant",
        "type": "nominal",
        "scale": {
            "domain": list(styles),
            "range": [_DASHES[style.line] for style in styles.values()],
        },
    }
    is_chosen = {"param": "chosen"}
    layers = [
        {
            "params": [
                {"name": "chosen", "select": {"type": "point", "fields": ["variant"]},
                 "bind": "legend"},
                {"name": "zoom", "bind": "scales",
                 # With a key: the wheel alone scrolls the page.
                 "select": {"type": "interval",
                            "zoom": "wheel![event.shiftKey || event.ctrlKey]"}},
            ],
            "mark": {"type": "line", "clip": True, "strokeWidth": 1.6},
            "encoding": {"opacity": {"condition": {**is_chosen, "value": 0.9}, "value": 0.12}},
        },
        {
            "params": [
                {"name": "near",
                 "select": {"type": "point", "on": "pointerover", "nearest": True,
                            "clear": "pointerout"}},
            ],
            "mark": {"type": "point", "clip": True, "filled": True, "size": 70},
            "encoding": {
                "opacity": {"condition": {"param": "near", "empty": False, "value": 1}, "value": 0},
                "tooltip": [
                    {"field": "variant"},
                    {"field": "seed"},
                    {"field": "step", "format": ","},
                    {"field": "nll", "title": f"NLL ({unit})", "format": ".5~g"},
                ],
            },
        },
    ]  # fmt: skip
    split = {"input": "radio", "options": ["valid", "train"], "name": "Curves: ",
             "labels": ["validation (averaged weights)", "training (raw weights)"]}  # fmt: skip
    axis_title = f"NLL ({UNIT_LABEL[unit]}), lower is better"
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "data": {"name": "curves"},
        "width": "container",
        "height": 300,
        "autosize": {"type": "fit", "contains": "padding"},
        "params": [{"name": "split", "value": "valid", "bind": split}],
        "transform": [{"filter": "datum.split === split"}],
        "encoding": {
            "x": {"field": "step", "type": "quantitative", "title": "step",
                  "scale": {"nice": False}, "axis": {"format": "~s", "grid": False,
                           "tickCount": {"expr": "max(2, floor(width / 80))"}}},
            "y": {"field": "nll", "type": "quantitative", "title": axis_title,
                  "scale": {"domain": [low, high], "zero": False, "nice": False}},
            "color": colours,
            "strokeDash": dashes,
            "detail": {"field": "seed"},
        },
        "layer": layers,
    }  # fmt: skip


def _identity(row: Row) -> tuple[str, str, int]:
    return row["dataset"], row["variant"], row["seed"]


def _thin(points: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """Some points of a curve, the last one among them."""
    ordered = sorted(points)
    every = -(-len(ordered) // MOST_POINTS)
    return ordered[::-1][::every][::-1]


def _limits(values: Iterable[Sequence[float]]) -> tuple[float, float]:
    """Where the axis begins and ends before anyone zooms."""
    numbers = [number for of_curve in values for number in of_curve]
    low, high = min(numbers), float(np.percentile(numbers, TOP_PERCENT))
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin
