"""Statistics of samples against those of test images, by temperature (section 3.3)."""

from collections.abc import Sequence

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from study.comparing.selection import baselines
from study.figures.style import MAX_WIDTH, finish, in_style, log_axis, shared_or_each
from study.planning.ablation import Ablation
from study.results import StudyResults

_GREY = "0.45"
_BLUE = sns.color_palette("colorblind")[0]


@in_style
def draw(ablations: Sequence[Ablation], results: StudyResults) -> Figure:
    """A row of panels per dataset and baseline: energy by resolution, histogram distance."""
    runs = baselines(ablations)
    shown = [results.probed_run("instability", dataset, variant) for dataset, variant in runs]
    figure = Figure(figsize=(MAX_WIDTH, 2.2 * len(runs)), layout="constrained")
    rows = figure.subplots(len(runs), 2, squeeze=False)
    for panels, of_run, (dataset, variant) in zip(rows, shown, runs, strict=True):
        _draw_energies(panels[0], of_run)
        _draw_distance(panels[1], of_run)
        panels[0].set_ylabel(f"{dataset} ({variant})\nenergy, samples / test")
        temperatures = results.probed_run("temperatures", dataset, variant)
        nearest = temperatures.loc[temperatures["is_nearest"], "temperature"].item()
        for ax in panels:
            ax.axvline(nearest, color=_GREY, linewidth=0.8, linestyle=":")
            ax.set_xlabel("temperature")
            sns.despine(ax=ax)
    title = f"Samples against test images: study {ablations[0].study}"
    return finish(figure, title, _note(shown))


def _draw_energies(ax: Axes, of_run: pd.DataFrame) -> None:
    """A line per resolution, from pale (coarse) to dark (fine), labelled at its right end."""
    ratios = of_run["energy_samples"] / of_run["energy_test"]
    log_axis(ax, float(ratios[ratios > 0].min()), float(ratios.max()))
    ax.axhline(1, color=_GREY, linewidth=0.8, linestyle="--")
    resolutions = sorted(of_run["resolution"].unique())
    colours = sns.color_palette("viridis_r", len(resolutions) + 1)[1:]  # yellow is too pale
    for resolution, colour in zip(resolutions, colours, strict=True):
        rows = of_run[of_run["resolution"] == resolution].sort_values("temperature")
        ratio = rows["energy_samples"] / rows["energy_test"]
        error = rows["energy_samples_standard_error"] / rows["energy_test"]
        ax.errorbar(
            rows["temperature"],
            ratio,
            yerr=error,
            color=colour,
            linewidth=1.3,
            label=str(resolution),
            gid=f"energy-{resolution}",
        )
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        handles[::-1],  # the finest on top, as the lines often lie
        labels[::-1],
        title="resolution",
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
    )


def _draw_distance(ax: Axes, of_run: pd.DataFrame) -> None:
    rows = of_run.drop_duplicates("temperature").sort_values("temperature")
    ax.plot(rows["temperature"], rows["histogram_distance"], "-o", color=_BLUE, markersize=3)
    ax.set_ylim(0, 1.08 * float(rows["histogram_distance"].max()) or 1.0)
    ax.set_ylabel("histogram distance\n(grey levels)")


def _note(shown: Sequence[pd.DataFrame]) -> str:
    """What is compared, and over how many images."""
    first = [of_run.iloc[0] for of_run in shown]
    seeds, samples, images = (
        shared_or_each(row[name] for row in first) for name in ("seed", "num_samples", "num_images")
    )
    return (
        f"Seed {seeds}, EMA weights: {samples} samples per temperature against {images} test "
        "images. Energy: mean square of the detail that a resolution adds to the next coarser one "
        "(1: of the mean); bars: standard error. Histogram distance: Wasserstein-1 of the pixel "
        "values 0 ... 255. Dotted: the temperature whose energies are nearest to those of the test "
        "images (mean |ln ratio|)."
    )
