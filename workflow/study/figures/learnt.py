"""Figure G.14: what is learnt of each subspace, with the finer latents switched off."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.measurement.kept_images import Images
from model.table import ResultError
from study.comparing.selection import baselines
from study.figures.style import MAX_WIDTH, finish, in_style, log_axis, shared_or_each, word
from study.figures.tiles import draw_tiles
from study.planning.ablation import Ablation
from study.results import StudyResults

DRAWN = 4  # test images
_GREY = "0.45"


@in_style
def draw(ablations: Sequence[Ablation], results: StudyResults) -> Figure:
    """A row of panels per dataset and baseline: energies, coherence, images."""
    title = f"What is learnt of each resolution: study {ablations[0].study}"
    runs = [
        run for run in baselines(ablations) if len(results.probed_run("learnt", *run))
    ]  # a model without resolutions has no rows
    if not runs:
        return word(title, "No model has latents at several resolutions.")
    shown = [results.probed_run("learnt", *run) for run in runs]
    figure = Figure(figsize=(MAX_WIDTH, 2.3 * len(runs) + 0.2), layout="constrained")
    widths = [1, 1, 1.4]
    rows = figure.subplots(len(runs), 3, squeeze=False, width_ratios=widths)
    for panels, of_run, (dataset, variant) in zip(rows, shown, runs, strict=True):
        images = results.images("learnt", dataset, variant, int(of_run["seed"].iloc[0]))
        colours = _colours(of_run)
        if images.ndim != 5 or len(images) != len(colours) + 1:
            raise ResultError(
                f"learnt.npy of {dataset}/{variant}: its shape {images.shape} does not fit the "
                f"{len(colours)} resolutions of learnt.parquet; probe this run again"
            )
        _draw_energies(panels[0], of_run, colours)
        _draw_coherence(panels[1], of_run, colours)
        _draw_images(panels[2], images[:, :DRAWN], ["test", *map(str, colours)])
        panels[0].set_ylabel(f"{dataset} ({variant})\nenergy")
        panels[1].set_ylabel("coherence with test images")
    return finish(figure, title, _note(shown))


def _colours(of_run: pd.DataFrame) -> dict[int, tuple[float, ...]]:
    """By the resolution up to which the latents are the posterior's, from pale to dark."""
    resolutions = sorted(int(r) for r in of_run["posterior_up_to"].dropna().unique())
    palette = sns.color_palette("viridis_r", len(resolutions) + 1)[1:]  # yellow is too pale
    return dict(zip(resolutions, palette, strict=True))


def _draw_energies(ax: Axes, of_run: pd.DataFrame, colours: dict[int, tuple[float, ...]]) -> None:
    """Test images in black, samples dashed, reconstructions in colour."""
    positive = of_run.loc[of_run["energy"] > 0, "energy"]
    log_axis(ax, float(positive.min()), float(positive.max()))
    for up_to, colour in colours.items():
        _line(ax, of_run[of_run["posterior_up_to"] == up_to], "energy", colour, str(up_to))
    for name, style in [("samples", "--"), ("test", "-")]:
        of_kind = of_run[of_run["images"] == name]
        _line(ax, of_kind, "energy", "black" if name == "test" else _GREY, name, style)
    _resolutions(ax, of_run)
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(
        handles[::-1],
        labels[::-1],
        loc="center left",
        bbox_to_anchor=(1, 0.5),
        frameon=False,
        handlelength=1.2,
        handletextpad=0.4,
    )


def _draw_coherence(ax: Axes, of_run: pd.DataFrame, colours: dict[int, tuple[float, ...]]) -> None:
    for up_to, colour in colours.items():
        _line(ax, of_run[of_run["posterior_up_to"] == up_to], "coherence", colour, str(up_to))
    ax.axhline(0, color=_GREY, linewidth=0.8, linestyle=":")
    ax.set_ylim(min(-0.05, float(of_run["coherence"].min()) - 0.05), 1.05)
    _resolutions(ax, of_run)


def _line(
    ax: Axes,
    rows: pd.DataFrame,
    name: str,
    colour: tuple[float, ...] | str,
    label: str,
    style: str = "-",
) -> None:
    rows = rows.sort_values("resolution")
    values = rows[name].where(rows[name] > 0) if name == "energy" else rows[name]
    ax.plot(
        np.log2(rows["resolution"]),
        values,
        marker="o",
        linestyle=style,
        color=colour,
        markersize=2.5,
        linewidth=1.3,
        label=label,
        gid=f"{name}-{label}",
    )


def _resolutions(ax: Axes, of_run: pd.DataFrame) -> None:
    resolutions = sorted(of_run["resolution"].unique())
    ax.set_xticks(np.log2(resolutions), [str(r) for r in resolutions])
    ax.set_xlabel("resolution of the detail")
    sns.despine(ax=ax)


def _draw_images(ax: Axes, images: Images, names: Sequence[str]) -> None:
    """Kinds of images [kinds, n, C, H, W], a column each."""
    ax.set_xticks(draw_tiles(ax, images), names)
    ax.tick_params(length=0)
    ax.set_xlabel("posterior up to")


def _note(shown: Sequence[pd.DataFrame]) -> str:
    """What is drawn, of how many images, and what is drawn from the likelihood."""
    first = [of_run.iloc[0] for of_run in shown]
    seeds, images = (shared_or_each(row[name] for row in first) for name in ("seed", "num_images"))
    return (
        f"Seed {seeds}, EMA weights, {images} images. Numbers in the legend: reconstructions of "
        "test images with the posterior's latents up to this resolution and the prior's means "
        "above it; samples: temperature 1. Energy: mean square of the detail that a resolution "
        "adds to the next coarser one (1: of the mean), images as the network gets them. "
        "Coherence: normalised inner product with the test images' detail. Reconstructions and "
        "samples are drawn from the likelihood; of binary images the pictures show the "
        "probability of white."
    )
