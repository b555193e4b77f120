"""Over training: both sides of inequality (3), and what is learnt of each resolution."""

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from study.comparing.series import series
from study.figures.style import (
    MAX_WIDTH,
    compact,
    finish,
    in_style,
    left_out,
    log_axis,
    shared_or_each,
    word,
)
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.identity import NAMES
from study.tables.theory import INEQUALITY

_BLUE, _ORANGE = sns.color_palette("colorblind")[:2]


@in_style
def draw(ablations: Sequence[Ablation], results: StudyResults) -> Figure:
    """A row per series of lengths: the sides of the inequality, and the coherence."""
    title = f"Over training: study {ablations[0].study}"
    theory, learnt = results.tables["theory"], results.tables["learnt"]
    whole = theory[(theory["statement"] == INEQUALITY) & theory["resolution"].isna()]
    found = []
    for of_series in series(results.tables["runs"], "iterations"):
        runs = of_series[[*NAMES, "iterations"]]
        if len(sides := runs.merge(whole, on=NAMES)) > 1:
            found.append((sides, runs.merge(learnt, on=NAMES)))
    datasets = {dataset for ablation in ablations for dataset in ablation.variants}
    without = sorted(datasets - {sides["dataset"].iloc[0] for sides, _ in found})
    if not found:
        return word(title, left_out(without, "length"))
    figure = Figure(figsize=(MAX_WIDTH, 2.3 * len(found)), layout="constrained")
    rows = figure.subplots(len(found), 2, squeeze=False)
    for panels, (sides, of_runs) in zip(rows, found, strict=True):
        _draw_sides(panels[0], sides)
        _draw_coherence(panels[1], of_runs)
        longest = sides.iloc[-1]
        panels[0].set_ylabel(f"{longest['dataset']} ({longest['variant']})\ninequality (3)")
        for ax in panels:
            lengths = sides["iterations"].tolist()
            ax.set_xscale("log")
            ax.set_xticks(lengths, [compact(length) for length in lengths])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set_xlabel("iterations")
            sns.despine(ax=ax)
    return finish(figure, title, _note(found, without))


def _draw_sides(ax: Axes, sides: pd.DataFrame) -> None:
    """What each side lies between."""
    columns = [f"{side}_{end}" for side in ("left", "right") for end in ("lower", "upper")]
    positive = sides[columns].where(sides[columns] > 0)  # others have no place on the axis
    log_axis(ax, float(positive.min().min()), float(positive.max().max()))
    for side, colour in [("left", _BLUE), ("right", _ORANGE)]:
        lower, upper = (positive[f"{side}_{end}"] for end in ("lower", "upper"))
        ax.fill_between(sides["iterations"], lower, upper, color=colour, alpha=0.3, linewidth=0)
        for values, label in [(upper, f"{side} side"), (lower, None)]:
            ax.plot(
                sides["iterations"],
                values,
                "-o",
                color=colour,
                markersize=2.5,
                linewidth=1.2,
                label=label,
                gid=values.name,
            )
    _legend(ax)


def _draw_coherence(ax: Axes, learnt: pd.DataFrame) -> None:
    """Of reconstructions from all latents, a line per resolution of the detail."""
    all_latents = learnt[learnt["posterior_up_to"] == learnt["posterior_up_to"].max()]
    resolutions = sorted(all_latents["resolution"].unique())
    colours = sns.color_palette("viridis_r", len(resolutions) + 1)[1:]  # yellow is too pale
    for resolution, colour in zip(resolutions, colours, strict=True):
        line = all_latents[all_latents["resolution"] == resolution]
        ax.plot(
            line["iterations"],
            line["coherence"],
            "-o",
            color=colour,
            markersize=2.5,
            linewidth=1.3,
            label=str(resolution),
            gid=f"coherence-{resolution}",
        )
    ax.set_ylim(min(-0.05, float(all_latents["coherence"].min()) - 0.05), 1.05)
    ax.set_ylabel("coherence with test images")
    _legend(ax, "detail")


def _legend(ax: Axes, title: str | None = None) -> None:
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        handles[::-1],
        labels[::-1],
        title=title,
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        handlelength=1.2,
    )


def _note(found: Sequence[tuple[pd.DataFrame, pd.DataFrame]], without: Sequence[str]) -> str:
    """What is drawn, and where nothing is."""
    seeds = shared_or_each(int(sides["seed"].iloc[0]) for sides, _ in found)
    return (
        f"Seed {seeds}, EMA weights, runs that differ in their length alone. Left: what the sides "
        "of inequality (3), Theorem 3, lie between; it claims left ≤ right. Right: coherence of "
        "the detail of each resolution, reconstructions from all latents with test images (figure "
        f"learnt). {left_out(without, 'length')}"
    ).strip()
