"""Figure 5: norm of the state after every block of both towers, and the backward error."""

from collections.abc import Sequence
from itertools import groupby

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from study.comparing.selection import baselines
from study.figures.style import MAX_WIDTH, finish, in_style, log_axis, shared_or_each
from study.planning.ablation import Ablation
from study.results import StudyResults

_BLUE, _ORANGE = sns.color_palette("colorblind")[:2]


@in_style
def draw(ablations: Sequence[Ablation], results: StudyResults) -> Figure:
    """A row of panels per dataset and baseline: norms bottom-up and top-down, backward error."""
    runs = baselines(ablations)
    shown = [results.probed_run("block_norms", dataset, variant) for dataset, variant in runs]
    figure = Figure(figsize=(MAX_WIDTH, 2.2 * len(runs) + 0.1), layout="constrained")
    rows = figure.subplots(len(runs), 3, squeeze=False)
    for panels, of_run, (dataset, variant) in zip(rows, shown, runs, strict=True):
        down = of_run[of_run["tower"] == "top-down"]
        panels[0].sharey(panels[1])
        _draw_norm(panels[0], of_run[of_run["tower"] == "bottom-up"])
        _draw_norm(panels[1], down)
        _draw_error(panels[2], down)
        _log_axis(panels[1], of_run["norm"])  # shared with panels[0]
        _log_axis(panels[2], down["backward_error_prior"])
        panels[0].set_ylabel(f"{dataset} ({variant})\nEuclidean norm")
        panels[2].set_ylabel("relative backward error")
    titles = ("bottom-up state", "top-down state", "first top-down step")
    for ax, title in zip(rows[0], titles, strict=True):
        ax.set_title(title, pad=14)  # above the resolutions
    title = f"Norm of the state, block by block: study {ablations[0].study}"
    return finish(figure, title, _note(shown))


def _draw_norm(ax: Axes, blocks: pd.DataFrame) -> None:
    """Mean norm after each block, and as a circle at 0 that of the initial state."""
    _draw_line(ax, blocks, "norm", _BLUE)
    initial = float(blocks["norm_in"].iloc[0])
    if initial > 0:  # has a place on the logarithmic axis
        ax.plot([0], [initial], "o", color=_BLUE, markersize=4.5, fillstyle="none", gid="initial")


def _draw_error(ax: Axes, blocks: pd.DataFrame) -> None:
    _draw_line(ax, blocks, "backward_error_prior", _ORANGE)


def _draw_line(ax: Axes, blocks: pd.DataFrame, name: str, colour: tuple[float, ...]) -> None:
    """Mean by block with a band of two deviations of the batch means; resolutions behind it."""
    x, mean = blocks["block"] + 1, blocks[name]
    band = 2 * blocks[f"{name}_batch_standard_deviation"].fillna(0)
    # A lower end of 0 or below has no place on the logarithmic axis.
    low = (mean - band).clip(lower=mean / 10)
    ax.fill_between(x, low, mean + band, color=colour, alpha=0.3, linewidth=0)
    ax.plot(
        x, mean, "-o", color=colour, markersize=2.5 if len(x) < 40 else 1.5, linewidth=1.2, gid=name
    )
    _mark_resolutions(ax, blocks["resolution"].tolist())
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    ax.set_xlabel("applied block")
    sns.despine(ax=ax)


def _log_axis(ax: Axes, values: "pd.Series[float]") -> None:
    positive = values[values > 0]  # an untrained prior gives steps of 0
    if len(positive):
        log_axis(ax, float(positive.min()), float(positive.max()))


def _mark_resolutions(ax: Axes, resolutions: Sequence[int]) -> None:
    """Grey every second stretch of blocks at one resolution, and write the resolution above."""
    start = 0.5
    end_of_label = -1.0  # fractions of the axes
    total = len(resolutions) + 0.5
    ax.set_xlim(-0.5, total)
    for index, (resolution, stretch) in enumerate(groupby(resolutions)):
        end = start + len(list(stretch))
        if index % 2:
            ax.axvspan(start, end, color="0.92", linewidth=0, zorder=0, gid="resolution")
        middle = ((start + end) / 2 + 0.5) / (total + 0.5)
        # A digit takes about 0.05 of a panel; a label that would touch the one before is left out.
        half = 0.025 * len(str(resolution)) + 0.01
        if middle - half > end_of_label:
            ax.text(middle, 1.02, str(resolution), transform=ax.transAxes, ha="center", va="bottom")
            end_of_label = middle + half
        start = end


def _note(shown: Sequence[pd.DataFrame]) -> str:
    """What is drawn, over how many images, and what is left out."""
    first = [of_run.iloc[0] for of_run in shown]
    masked = sum(int(of_run["num_masked"].sum()) for of_run in shown)
    sentences = [
        f"Seed {shared_or_each(row['seed'] for row in first)}, EMA weights, posterior pass over "
        f"{shared_or_each(row['num_images'] for row in first)} test images.",
        "Circles: initial state (bottom-up: after the input convolution; top-down: learnt).",
        "Shading, and numbers above the panels: resolution of the state, pixels.",
        "Relative backward error: ‖prior features‖ / ‖x‖ for the state x that a block gets.",
    ]
    if max(row["num_batches"] for row in first) > 1:
        batches = shared_or_each(row["num_batches"] for row in first)
        sentences.append(f"Bands: ± 2 standard deviations over batches, {batches}.")
    if masked:
        sentences.append(f"Not counted: {masked:,} steps from states with ‖x‖ < 1e-8.")
    return " ".join(sentences)
