"""`study compare` for reading, and as JSON."""

import dataclasses
from collections.abc import Callable, Sequence
from math import isfinite

from rich.console import Console
from tabulate import tabulate

from model.table import ResultError
from model.training.progress_file import duration
from model.wording import counted
from study.compare import Difference, Side, Values, curve, difference, results, settings
from study.curve import drawn
from study.text_table import as_json


def text_of(sides: Sequence[Side]) -> str:
    """The comparison in lines: settings, results, then differences from the first side."""
    names = [side.name for side in sides]
    differing = settings(sides)
    parts = [
        _table("setting", differing, names, str) if differing else "All settings are the same.",
        _table("result", for_reading(results(sides)), names, cell),
        *(_in_words(sides[0], side) for side in sides[1:]),
        _curves(sides),
    ]
    return "\n\n".join(filter(None, parts))


def json_of(sides: Sequence[Side]) -> str:
    """The same as JSON; a difference that cannot be taken says why."""
    found = []
    for side in sides[1:]:
        try:
            found.append(dataclasses.asdict(difference(sides[0], side)))
        except ResultError as error:
            found.append({"name": side.name, "baseline": sides[0].name, "reason": str(error)})
    content = {
        "runs": [side.name for side in sides],
        "settings": settings(sides),
        "results": results(sides),
        "differences": found,
        "curves": [curve(side) for side in sides],
    }
    return as_json(content)


def _curves(sides: Sequence[Side]) -> str:
    """The validation curves, on a terminal; those of one unit, which the first side has."""
    console, unit = Console(), sides[0].model.unit
    if not console.is_terminal:
        return ""
    curves = {side.name: curve(side) for side in sides if side.model.unit == unit}
    with_colours = not console.no_color
    return drawn(curves, f"valid, {unit}", console.width, with_colours=with_colours)


def _table(
    heading: str, values: Values, names: Sequence[str], text: Callable[[object], str]
) -> str:
    rows = [[name, *map(text, row)] for name, row in values.items()]
    headings = [heading, *names]
    return tabulate(rows, headings, tablefmt="simple", disable_numparse=True)


def _in_words(baseline: Side, side: Side) -> str:
    try:
        found = difference(baseline, side)
    except ResultError as error:
        return str(error)
    lines = [
        f"{found.name} minus {found.baseline}, test NLL ({found.unit}): {found.mean:+.4f}",
        f"  ± {found.interval_95_images:.4f} over {counted(found.num_images, 'test image')} "
        "(95 %): what other images of this kind may change",
    ]
    lines.append(_over_seeds(found))
    return "\n".join(lines)


def _over_seeds(found: Difference) -> str:
    if found.interval_95_seeds is None:
        return "  one pair of runs: how much another seed would change is not known"
    return (
        f"  ± {found.interval_95_seeds:.4f} over {found.num_pairs} pairs of seeds (95 %): what "
        "other trainings may change"
    )


def for_reading(values: Values) -> Values:
    """Results with the time of a training in words, and whole numbers of what is counted."""
    shown: Values = {}
    for name, row in values.items():
        if name == "hours":
            shown["training time"] = [duration(3600 * h) if isfinite(h) else "" for h in row]
        elif name in ("iterations", "skipped updates"):
            shown[name] = [int(mean) if mean.is_integer() else mean for mean in row]
        else:
            shown[name] = row
    return shown


def cell(value: object) -> str:
    """A result for reading."""
    if isinstance(value, float):
        return f"{value:,.4f}" if isfinite(value) else ""
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
