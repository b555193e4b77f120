"""The figure of one ablation: per dataset the test NLL of each variant, and its learning curves."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from model.table import ResultError
from study.comparing.selection import finished, is_diverged, select
from study.comparing.statistics import interval_95
from study.figures.style import MAX_WIDTH, compact, finish, in_style
from study.figures.variant_style import BASELINE_COLOUR, VariantStyle, variant_styles
from study.planning.ablation import Ablation
from study.results import StudyResults
from study.tables.comparison import rows
from study.tables.identity import NAMES
from study.unit import UNIT_LABEL, column_in_unit, in_unit

VARIANT = 0.24  # inches, height of a variant's line
PANEL = 1.9  # inches, the least height of a panel
_LATE = 0.3  # of a training: what comes before may be cut from its curve


@in_style
def draw(ablation: Ablation, results: StudyResults) -> Figure:
    """A row per dataset: the test NLL by variant, and beside it the validation learning curves."""
    runs, history = results.tables["runs"], results.tables["history"]
    table = rows(ablation, results)
    table = table[table["origin"] == "trained"]
    styles = variant_styles(ablation)
    heights = [max(PANEL, VARIANT * len(names)) for names in ablation.variants.values()]
    height = sum(heights) + 0.75 * len(heights)  # of axes and titles
    figure = Figure(figsize=(MAX_WIDTH, height), layout="constrained")
    panels = figure.subplots(len(heights), 2, squeeze=False, height_ratios=heights)
    all_limits = {d: nll_limits(ablation, runs, d) for d in ablation.variants}
    shown: list[Curves] = []
    for (left, right), (dataset, limits) in zip(panels, all_limits.items(), strict=True):
        of_dataset = table[table["dataset"] == dataset]
        _draw_nll(left, of_dataset, runs, styles, limits)
        curves = validation_nll(ablation, runs, history, dataset)
        shown.append(_draw_curves(right, of_dataset, curves, styles, limits))
    note = _note(table, any(limits.above for limits in all_limits.values()), shown)
    title = f"{ablation.title}: study {ablation.study}"
    return finish(figure, title, note, _legend(table, styles, shown))


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
            values[variant] = column_in_unit(of_variant, "nll")
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
    ends = [_ends(values[v]) for v in best_first if v not in above]
    shown = np.array(ends)
    span = (shown.max() - shown.min()) or 0.01 * abs(best) or 1.0
    # Room at the top for the marks of diverged runs and of variants above.
    return Limits(
        low=float(shown.min() - 0.12 * span),
        high=float(shown.max() + 0.3 * span),
        above=tuple(above),
    )


def _ends(nll: "pd.Series[float]") -> tuple[float, float]:
    """Of the seeds of a variant, and of their interval; that of two would be 13 times their range.

    The interval of three seeds is about three times as wide as their range.
    """
    low, high = float(nll.min()), float(nll.max())
    if len(nll) < 3:
        return low, high
    mean, interval = float(nll.mean()), interval_95(nll)
    return min(low, mean - interval), max(high, mean + interval)


def _draw_nll(
    ax: Axes,
    variants: pd.DataFrame,
    runs: pd.DataFrame,
    styles: dict[str, VariantStyle],
    limits: Limits,
) -> None:
    """A line per variant: dots for seeds, mean and interval; marks at the right for what is off."""
    records = variants.to_dict("records")
    right = ax.get_yaxis_transform()  # y in data, x in fractions of the axes
    for y, row in enumerate(records):
        colour = styles[row["variant"]].colour
        of_variant = select(runs, row["study"], row["dataset"], row["variant"])
        diverged = is_diverged(of_variant)
        seeds = column_in_unit(finished(of_variant), "nll").to_numpy()
        is_above = row["variant"] in limits.above
        shift = 0.14 if len(seeds) > 1 else 0.0
        ax.plot(
            0.98 - (0.3 if is_above else 0.0) - 0.04 * np.arange(diverged.sum()),
            np.full(diverged.sum(), y),
            "x",
            color=colour,
            markersize=5,
            transform=right,
            gid="diverged",
        )
        if is_above:
            ax.plot([0.98], [y], ">", color=colour, markersize=5, transform=right, gid="above")
            ax.text(
                0.95,
                y,
                f"{row['nll_mean']:#.4g}",
                color=colour,
                ha="right",
                va="center_baseline",
                transform=right,
            )
        elif len(seeds):
            ax.plot(
                seeds,
                np.full(len(seeds), y + shift),
                "o",
                color=colour,
                alpha=0.5 if len(seeds) > 1 else 1.0,
                markersize=4 if len(seeds) > 1 else 5,
                markeredgewidth=0,
                gid="seeds",
            )
            if len(seeds) > 1:
                ax.errorbar(
                    row["nll_mean"],
                    y - shift,
                    xerr=row["nll_interval_95"],
                    fmt="|",
                    color=colour,
                    markersize=8,
                    markeredgewidth=1.6,
                    capsize=2.5,
                    elinewidth=1.2,
                )
    baseline = records[0]
    if np.isfinite(baseline["nll_mean"]) and baseline["variant"] not in limits.above:
        ax.axvline(
            baseline["nll_mean"], color=BASELINE_COLOUR, linewidth=0.8, linestyle="--", zorder=0
        )
    ax.set_xlim(limits.low, limits.high)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(nbins=5))
    if (variants["num_seeds"] == 0).all():
        ax.set_xticks([])
    ax.set_title(records[0]["dataset"], loc="left")
    ax.set_xlabel(f"test NLL ({UNIT_LABEL[records[0]['unit']]})\nlower is better")
    ax.set_ylim(len(records) - 0.5, -0.5)  # the baseline on top
    ax.set_yticks(
        range(len(records)),
        [f"{row['variant']} ({compact(row['num_parameters'])})" for row in records],
    )
    sns.despine(ax=ax)


@dataclass(frozen=True)
class Curves:
    """Which variants' curves a panel shows, and which it cuts after the first iterations."""

    shown: frozenset[str]
    cut: frozenset[str]
    start_above: bool


def _draw_curves(
    ax: Axes,
    variants: pd.DataFrame,
    curves: pd.DataFrame,
    styles: dict[str, VariantStyle],
    limits: Limits,
) -> Curves:
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
    visible = finite[finite["nll"] <= high]
    if len(visible):
        low = float(visible["nll"].min())
        ax.set_ylim(low - 0.05 * (high - low), high)
    ax.xaxis.set_major_locator(mpl.ticker.MaxNLocator(nbins=5, integer=True))
    ax.xaxis.set_major_formatter(compact)
    ax.set_xlim(left=0)
    ax.set_xlabel("iteration")
    ax.set_ylabel(f"validation NLL\n({UNIT_LABEL[variants['unit'].iloc[0]]})")
    sns.despine(ax=ax)
    above = finite[finite["nll"] > high]
    late = above[above["step"] >= _LATE * finite["step"].max()]
    return Curves(
        shown=frozenset(visible["variant"]),
        cut=frozenset(late["variant"]) & frozenset(visible["variant"]),
        start_above=len(above) > len(late),
    )


def _curves_top(curves: pd.DataFrame, limits: Limits) -> float:
    """The largest NLL after 30 % of the training of the runs that the panel of test NLLs shows.

    The first iterations fall so steeply that nothing else would be seen.
    """
    late = curves[
        (curves["step"] >= _LATE * curves["step"].max())
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


def _legend(
    table: pd.DataFrame, styles: dict[str, VariantStyle], shown: list[Curves]
) -> list[Line2D]:
    """An entry per variant; one whose curve is nowhere says why."""
    drawn = frozenset[str]().union(*(curves.shown for curves in shown))
    runs = table.groupby("variant", sort=False)[["num_seeds", "num_diverged"]].sum()
    handles = []
    for variant, style in styles.items():
        why = []
        if not runs.loc[variant, "num_seeds"]:
            why.append("diverged" if runs.loc[variant, "num_diverged"] else "not finished")
        if variant not in drawn and runs.loc[variant].any():
            why.append("outside the axis")
        label = f"{variant} ({', '.join(why)})" if why else variant
        handles.append(
            Line2D([], [], color=style.colour, linestyle=style.line, linewidth=1.6, label=label)
        )
    return handles


def _note(table: pd.DataFrame, has_above: bool, shown: list[Curves]) -> str:
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
    if any(curves.start_above for curves in shown):
        sentences.append("The first iterations lie above the axis.")
    if cut := frozenset[str]().union(*(curves.cut for curves in shown)):
        names = [variant for variant in dict.fromkeys(table["variant"]) if variant in cut]
        sentences.append(f"Cut by the axis: {', '.join(names)}.")
    drawn = table[(table["variant"] == table["baseline"]) & (table["num_seeds"] > 0)]
    if len(drawn):
        sentences.append(f"Dashed: mean of {' / '.join(dict.fromkeys(drawn['baseline']))}.")
    sentences.append("In brackets: parameters.")
    if (table["num_diverged"] > 0).any():
        sentences.append("×: diverged.")
    if has_above:
        sentences.append("▶: mean outside the axis.")
    return " ".join(sentences)
