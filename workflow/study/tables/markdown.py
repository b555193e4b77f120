"""Tables for reading in Markdown, and how numbers are written in them."""

from collections.abc import Sequence
from math import floor, isfinite, log10

from tabulate import tabulate

DIVERGED = "×"  # in place of a number
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


def decimals(standard_error: float, unit: str) -> int:
    """Decimals to show: up to the standard error's first digit (its second, if the first is 1)."""
    if not isfinite(standard_error) or standard_error <= 0:
        return DEFAULT_DECIMALS[unit]
    exponent = floor(log10(standard_error))
    leading_one = standard_error < 2 * 10**exponent
    return min(max(leading_one - exponent, 0), 5)


def format_value(
    value: float, half_width: float, standard_error: float, unit: str, sign: str = ""
) -> str:
    """A mean and half its interval for reading, "80.14 ± 0.13"; "" for NaN.

    The standard error decides the digits: the interval of two seeds is so wide that it would leave
    none of the mean's.
    """
    if not isfinite(value):
        return ""
    digits = decimals(standard_error, unit)
    # A hyphen is no minus sign.
    text = f"{value:{sign}.{digits}f}".replace("-", "−")
    return text if not isfinite(half_width) else f"{text} ± {half_width:.{digits}f}"
