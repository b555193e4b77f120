"""The figure of one ablation: test NLL of each variant, and validation learning curves below."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from model.table import ResultError
from study.comparing.selection import finished, is_diverged, select
from study.figures.style import FONT_SIZE, MAX_WIDTH, compact, finish, in_style
from study.figures.variant_style import BASELINE_COLOUR, VariantStyle, variant_styles
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.comparison import rows
from study.tables.identity import NAMES
from study.unit import UNIT_LABEL, column_in_unit, in_unit


@in_style
def draw(ablation: Ablation, results: StudyResults) -> Figure:
    """Per dataset the test NLL by variant, and below it the validation learning curves."""
    runs, history = results.tables["runs"], results.tables["history"]
    table = rows(ablation, results)
    table = table[table["origin"] == "trained"]
    styles = variant_styles(ablation)
    datasets = list(ablation.variants)
    num_columns = min(len(datasets), 2)
    num_bands = ceil(len(datasets) / num_columns)  # a band: a row of NLLs and a row of curves
    width = _width(ablation)
    figure = Figure(figsize=(width, 4.7 * num_bands + 0.9), layout="constrained")
    axes = figure.subplots(2 * num_bands, num_columns, squeeze=False)
    all_limits = {dataset: nll_limits(ablation, runs, dataset) for dataset in datasets}
    for index, dataset in enumerate(datasets):
        band, column = divmod(index, num_columns)
        of_dataset = table[table["dataset"] == dataset]
        limits = all_limits[dataset]
        crowded = (width / num_columns - 0.9) / len(of_dataset) < 0.45  # inches per variant
        _draw_nll(axes[2 * band, column], of_dataset, runs, styles, limits, crowded)
        curves = validation_nll(ablation, runs, history, dataset)
        _draw_curves(axes[2 * band + 1, column], of_dataset, curves, styles, limits)
    for index in range(len(datasets), num_columns * num_bands):
        band, column = divmod(index, num_columns)
        axes[2 * band, column].remove()
        axes[2 * band + 1, column].remove()
    nll_panels: list[Axes] = [ax for row in axes[::2] for ax in row][: len(datasets)]
    _tilt_overlapping_labels(figure, nll_panels, num_bands)
    has_above = any(limits.above for limits in all_limits.values())
    handles = [
        Line2D([], [], color=style.colour, linestyle=style.line, linewidth=1.6, label=variant)
        for variant, style in styles.items()
    ]
    return finish(figure, _note(table, has_above), handles)


def validation_nll(
    ablation: Ablation, runs: pd.DataFrame, history: pd.DataFrame, dataset: str
) -> pd.DataFrame:
    """The validation NLL (EMA weights, in the dataset's unit) of every run, by step."""
    selected = pd.concat(
        select(runs, ablation.study, dataset, variant) for variant in ablation.variants[dataset]
    )
    selected = selected.assign(is_diverged=is_diverged(selected))
    valid = history[(history["split"] == "valid") & (history["weights"] == "ema")]
    curves = selected[[*NAMES, "unit", "likelihood_dims", "is_diverged"]].merge(
        valid[[*NAMES, "step", "nll_nats"]], on=NAMES
    )
    if curves.empty:
        raise ResultError(f"history of {ablation.study}: {dataset} has no validation NLL")
    columns = zip(curves["nll_nats"], curves["unit"], curves["likelihood_dims"], strict=True)
    nll = [in_unit(nats, unit, likelihood_dims) for nats, unit, likelihood_dims in columns]
    return curves.assign(nll=nll)


@dataclass(frozen=True)
class Limits:
    """The range of NLLs that a panel shows, and the variants that lie above it."""

    low: float
    high: float
    above: tuple[str, ...]


def nll_limits(ablation: Ablation, runs: pd.DataFrame, dataset: str) -> Limits:
    """The range that shows the differences of most variants, in the dataset's unit.

    The worst variants, at most a third, are left above it if they are more than five times as far
    from the best as all the others: they would hide every other difference.
    """
    values = {}
    for variant in ablation.variants[dataset]:
        of_variant = finished(select(runs, ablation.study, dataset, variant))
        if len(of_variant):
            values[variant] = column_in_unit(of_variant, "nll").to_numpy()
    if not values:
        return Limits(low=0.0, high=1.0, above=())
    best_first = sorted(values, key=lambda variant: float(values[variant].mean()))
    best = min(v.min() for v in values.values())
    above: list[str] = []
    for count in range(1, len(best_first) // 3 + 1):
        rest, worst = best_first[:-count], best_first[-count:]
        spread = max(values[v].max() for v in rest) - best
        if min(values[v].min() for v in worst) - best > 5 * spread > 0:
            above = worst
    shown = np.concatenate([values[v] for v in best_first if v not in above])
    span = (shown.max() - shown.min()) or 0.01 * abs(best) or 1.0
    # Room at the top for the marks of diverged runs and of variants above.
    return Limits(
        low=float(shown.min() - 0.12 * span),
        high=float(shown.max() + 0.3 * span),
        above=tuple(above),
    )


def _width(ablation: Ablation) -> float:
    """7 inches for two panels beside each other; one panel is as wide as its variants need."""
    if len(ablation.variants) > 1:
        return MAX_WIDTH
    (variants,) = ablation.variants.values()
    return min(max(3.4, 0.55 * len(variants) + 1.0), MAX_WIDTH)


def _draw_nll(
    ax: Axes,
    variants: pd.DataFrame,
    runs: pd.DataFrame,
    styles: dict[str, VariantStyle],
    limits: Limits,
    crowded: bool,
) -> None:
    """Dots for seeds, mean and error bar per variant; marks at the top for what is off the axis."""
    records = variants.to_dict("records")
    top = ax.get_xaxis_transform()  # x in data, y in fractions of the axes
    for x, row in enumerate(records):
        colour = styles[row["variant"]].colour
        of_variant = select(runs, row["study"], row["dataset"], row["variant"])
        diverged = is_diverged(of_variant)
        seeds = column_in_unit(finished(of_variant), "nll").to_numpy()
        is_above = row["variant"] in limits.above
        ax.plot(
            np.full(diverged.sum(), x - (0.3 if is_above else 0.0)),
            0.96 - 0.06 * np.arange(diverged.sum()),  # one below the other
            "x",
            color=colour,
            markersize=5,
            transform=top,
            gid="diverged",
        )
        if is_above:
            ax.plot([x], [0.96], "^", color=colour, markersize=5, transform=top, gid="above")
            ax.text(
                x,
                0.91,
                f"{row['nll_mean']:#.4g}",
                color=colour,
                rotation=90 if crowded else 0,
                ha="center",
                va="top",
                transform=top,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
        elif len(seeds):
            shift = 0.12 if len(seeds) > 1 else 0.0
            ax.plot(
                np.full(len(seeds), x - shift),
                seeds,
                "o",
                color=colour,
                alpha=0.5 if len(seeds) > 1 else 1.0,
                markersize=4 if len(seeds) > 1 else 5,
                markeredgewidth=0,
                gid="seeds",
            )
            if len(seeds) > 1:
                ax.errorbar(
                    x + shift,
                    row["nll_mean"],
                    yerr=row["nll_interval_95"],
                    fmt="_",
                    color=colour,
                    markersize=9,
                    markeredgewidth=1.6,
                    capsize=2.5,
                    elinewidth=1.2,
                )
    baseline = records[0]
    if np.isfinite(baseline["nll_mean"]) and baseline["variant"] not in limits.above:
        ax.axhline(
            baseline["nll_mean"], color=BASELINE_COLOUR, linewidth=0.8, linestyle="--", zorder=0
        )
    ax.set_ylim(limits.low, limits.high)
    if (variants["num_seeds"] == 0).all():
        ax.set_yticks([])
    ax.set_title(records[0]["dataset"])
    ax.set_ylabel(f"test NLL\n({UNIT_LABEL[records[0]['unit']]})")
    ax.set_xlim(-0.6, len(records) - 0.4)
    ax.set_xticks(
        range(len(records)),
        [f"{row['variant']}\n{compact(row['num_parameters'])}" for row in records],
    )
    sns.despine(ax=ax)


def _draw_curves(
    ax: Axes,
    variants: pd.DataFrame,
    curves: pd.DataFrame,
    styles: dict[str, VariantStyle],
    limits: Limits,
) -> None:
    """Mean over seeds and their range; a diverged run on its own, up to where it ended."""
    high = _curves_top(curves, limits)
    finite = curves[np.isfinite(curves["nll"])]
    for variant, of_variant in finite.groupby("variant", sort=False):
        style = styles[str(variant)]
        to_the_end = of_variant[~of_variant["is_diverged"]]
        if len(to_the_end):
            sns.lineplot(
                to_the_end,
                x="step",
                y="nll",
                estimator="mean",
                errorbar=("pi", 100),  # the range
                color=style.colour,
                linestyle=style.line,
                linewidth=1.4,
                # A short training has few validations; a single one would be no line at all.
                marker="o" if to_the_end["step"].nunique() <= 5 else None,
                markersize=4,
                markeredgewidth=0,
                ax=ax,
            )
        for _, run in of_variant[of_variant["is_diverged"]].groupby("seed"):
            ax.plot(run["step"], run["nll"], ":", color=style.colour, linewidth=1.0)
            last = run.iloc[-1]
            ax.plot(
                [last["step"]], [min(last["nll"], high)], "x", color=style.colour, clip_on=False
            )
    shown = finite.loc[finite["nll"] <= high, "nll"]
    if len(shown):
        ax.set_ylim(float(shown.min()) - 0.05 * (high - float(shown.min())), high)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(nbins=5, integer=True))
    ax.xaxis.set_major_formatter(compact)
    ax.set_xlim(left=0)
    ax.set_xlabel("iteration")
    ax.set_ylabel(f"validation NLL\n({UNIT_LABEL[variants['unit'].iloc[0]]})")
    sns.despine(ax=ax)


def _curves_top(curves: pd.DataFrame, limits: Limits) -> float:
    """The largest NLL after 30 % of the training of the runs that the upper panel shows.

    The first iterations fall so steeply that nothing else would be seen.
    """
    late = curves[
        (curves["step"] >= 0.3 * curves["step"].max())
        & ~curves["is_diverged"]
        & ~curves["variant"].isin(limits.above)
        & np.isfinite(curves["nll"])
    ]
    if late.empty:
        late = curves[np.isfinite(curves["nll"])]
    if late.empty:
        return 1.0
    low, high = float(late["nll"].min()), float(late["nll"].max())
    return high + 0.05 * ((high - low) or abs(high) or 1.0)


def _note(table: pd.DataFrame, has_above: bool) -> str:
    """What the marks mean, and how many seeds they stand for."""
    seeds = table.loc[table["num_seeds"] > 0, "num_seeds"]
    few, many = (int(seeds.min()), int(seeds.max())) if len(seeds) else (0, 0)
    count = str(many) if few == many else f"{few} to {many}"
    sentences = []
    if many > 1:
        sentences += [
            f"Dots: seeds (n = {count}); bars: mean and 95 % interval (Student's t), cut at the "
            "panel's edge.",
            "Curves: EMA weights, mean and range over the seeds.",
        ]
    elif many == 1:
        sentences += ["Dots: one seed (n = 1), no error bars.", "Curves: EMA weights."]
    else:
        sentences += ["No run finished.", "Curves: EMA weights."]
    drawn = table[(table["variant"] == table["baseline"]) & (table["num_seeds"] > 0)]
    if len(drawn):
        sentences.append(f"Dashed: mean of {' / '.join(dict.fromkeys(drawn['baseline']))}.")
    if (table["num_diverged"] > 0).any():
        sentences.append("×: diverged.")
    if has_above:
        sentences.append("▲: mean above the axis.")
    return " ".join(sentences)


def _tilt_overlapping_labels(figure: Figure, axes: Sequence[Axes], num_bands: int) -> None:
    """Turn the variants' names by 45 degrees in all panels if they overlap in one."""
    figure.draw_without_rendering()
    if not any(_labels_overlap(ax, figure.dpi) for ax in axes):
        return
    for ax in axes:
        # On one line: two lines of neighbouring tilted labels would overlap.
        labels = ["{} ({})".format(*x.get_text().split("\n")) for x in ax.get_xticklabels()]
        ax.set_xticks(ax.get_xticks(), labels, rotation=45, ha="right", rotation_mode="anchor")
    # The panels keep their height.
    heights = [x.get_window_extent().height for ax in axes for x in ax.get_xticklabels()]
    figure.set_figheight(figure.get_figheight() + num_bands * (max(heights) / figure.dpi - 0.3))


def _labels_overlap(ax: Axes, dpi: float) -> bool:
    boxes = [label.get_window_extent() for label in ax.get_xticklabels()]
    gap = 0.3 * FONT_SIZE * dpi / 72
    return any(left.x1 + gap > right.x0 for left, right in pairwise(boxes))
