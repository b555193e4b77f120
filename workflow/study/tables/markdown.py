"""Tables for reading in Markdown, and how numbers are written in them."""

from collections.abc import Sequence
from math import floor, isfinite, log10

from tabulate import tabulate

DEFAULT_DECIMALS = {"nats": 2, "bits/dim": 3}


def with_caption(
    caption: str, headings: Sequence[str], cells: Sequence[Sequence[object]], *, num_left: int
) -> str:
    """A table in Markdown, its caption above; the first `num_left` columns are aligned left."""
    alignment = ["left"] * num_left + ["right"] * (len(headings) - num_left)
    body = tabulate(
        cells, headers=headings, tablefmt="pipe", disable_numparse=True, colalign=alignment
    )
    return f"{caption}\n\n{body}\n"


def decimals(uncertainty: float, unit: str) -> int:
    """Decimals to show: up to the uncertainty's first digit (its second, if the first is 1)."""
    if not isfinite(uncertainty) or uncertainty <= 0:
        return DEFAULT_DECIMALS[unit]
    exponent = floor(log10(uncertainty))
    leading_one = uncertainty < 2 * 10**exponent
    return min(max(leading_one - exponent, 0), 5)


def format_value(value: float, uncertainty: float, unit: str, sign: str = "") -> str:
    """A mean and its uncertainty for reading, "80.14 ± 0.03"; "" for NaN."""
    if not isfinite(value):
        return ""
    digits = decimals(uncertainty, unit)
    # A hyphen is no minus sign.
    text = f"{value:{sign}.{digits}f}".replace("-", "−")
    return text if not isfinite(uncertainty) else f"{text} ± {uncertainty:.{digits}f}"
