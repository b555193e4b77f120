"""The style of all figures, and the way they end."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import wraps
from math import ceil
from pathlib import Path
from textwrap import fill
from typing import Any, ParamSpec

import matplotlib as mpl
import matplotlib.style
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from model.files import atomic_write
from study.registry import FIGURE_FORMATS

Parameters = ParamSpec("Parameters")

FONT_SIZE = 9  # points, of all text
MAX_WIDTH = 7.0  # inches
CHARACTER = 0.07  # inches, mean width of a character at FONT_SIZE
LINE = 0.155  # inches, distance of two lines at FONT_SIZE
STYLE = {
    **sns.axes_style("ticks"),
    **dict.fromkeys(
        [
            "font.size",
            "figure.titlesize",
            "axes.titlesize",
            "axes.labelsize",
            "xtick.labelsize",
            "ytick.labelsize",
            "legend.fontsize",
            "legend.title_fontsize",
        ],
        FONT_SIZE,
    ),
    # Shipped with matplotlib: the figure is the same on every machine.
    "font.family": ["DejaVu Sans"],
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
    "pdf.fonttype": 42,
    "svg.hashsalt": "multires-hvae",
    "savefig.dpi": 200,
}
# Without the date of the drawing, equal figures are equal files.
_WITHOUT_DATE: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}


def in_style(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Have a function draw in the style of all figures."""

    @wraps(draw)
    def styled(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with _style():
            return draw(*args, **kwargs)

    return styled


def _style() -> AbstractContextManager[None]:
    """The style, whatever the user's own matplotlibrc says."""
    return mpl.style.context(STYLE, after_reset=True)


def finish(figure: Figure, title: str, note: str, handles: Sequence[Artist] = ()) -> Figure:
    """Put the title above the panels and the note below, with the legend of `handles`; lay out.

    The figure, so far as high as its panels, grows by these.

    The layout is done here once: each format that is saved would do it again.
    """
    width = figure.get_figwidth()
    heading, lines = (fill(text, int(width / CHARACTER)) for text in (title, note))
    figure.suptitle(heading, x=0.01, ha="left", fontweight="bold")
    height = LINE * (heading.count("\n") + lines.count("\n") + 3)
    if handles:
        entry = 0.6 + CHARACTER * max(len(str(handle.get_label())) for handle in handles)  # inches
        columns = max(1, min(len(handles), int(width / entry)))
        height += LINE * 1.25 * ceil(len(handles) / columns)
        figure.legend(
            handles=handles,
            loc="outside lower left",
            ncols=columns,
            title=lines,
            alignment="left",
            frameon=False,
        )
    else:
        figure.supxlabel(lines, x=0.01, ha="left", fontsize=FONT_SIZE)
    figure.set_figheight(figure.get_figheight() + height)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def word(title: str, note: str) -> Figure:
    """A figure that says why it has no panels."""
    return finish(Figure(figsize=(MAX_WIDTH, 0.2), layout="constrained"), title, note)


def left_out(datasets: Iterable[str], differ_in: str) -> str:
    """A sentence on the datasets that have no series of runs; "" for none."""
    if names := ", ".join(datasets):
        return f"Left out: {names}, where no two runs differ in their {differ_in} alone."
    return ""


def save(figure: Figure, directory: Path, name: str) -> None:
    """Write a figure in all formats; equal figures give equal bytes."""
    with _style():
        for suffix in FIGURE_FORMATS:
            with atomic_write(directory / f"{name}.{suffix}") as temporary:
                figure.savefig(temporary, format=suffix, metadata=_WITHOUT_DATE.get(suffix, {}))


def compact(number: float, _position: object = None) -> str:
    """A count in few characters: 107k, 39.1M."""
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= unit:
            scaled = number / unit
            return f"{scaled:.3g}{name}" if scaled < 1000 else f"{scaled:.0f}{name}"
    return f"{number:g}"


def log_axis(ax: Axes, low: float, high: float) -> None:
    """A logarithmic y axis for values from low to high, labelled 0.5 or 20 instead of 5 x 10^-1."""
    ax.set_yscale("log")
    ratio = high / low
    if ratio < 8:  # 1, 2 and 5 may all lie outside
        ax.yaxis.set_major_locator(MaxNLocator(nbins=4))
    else:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < 50 else (1,)))
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def shared_or_each(values: Iterable[object]) -> str:
    """A value that all rows of panels share, or each row's, for a figure's note."""
    texts = [f"{value:,}" for value in values]
    return texts[0] if len(set(texts)) == 1 else f"{' / '.join(texts)} (row by row)"
