"""Figure 6: unconditional samples over a row of temperatures."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from study.figures import CHARACTER, FONT_SIZE, MAX_WIDTH, STYLE
from study.instability import nearest_temperature
from study.probes import row_by_row, select_run
from study.runs import ResultError

Images = np.ndarray[Any, np.dtype[np.uint8]]

DRAWN = 3  # samples per temperature


def read_samples(run_dir: Path, num_temperatures: int) -> Images:
    """Samples uint8 [temperatures, n, C, H, W]; raises ResultError if they are not there."""
    path = run_dir / "samples.npy"
    if not path.is_file():
        raise ResultError(f"{path} is missing: probe this run first (python -m model.probe)")
    try:
        samples: Images = np.load(path)
    except (ValueError, EOFError) as error:
        raise ResultError(f"{path}: {error}; probe this run again") from None
    if samples.ndim != 5 or len(samples) != num_temperatures:
        raise ResultError(
            f"{path}: its shape {samples.shape} does not fit the {num_temperatures} temperatures "
            "of instability.parquet; probe this run again"
        )
    return samples


def draw_samples(
    instability: pd.DataFrame, runs: Sequence[tuple[str, str]], run_directories: Path
) -> Figure:
    """A grid per (dataset, variant): a column per temperature, a row per draw of the noise."""
    shown = [select_run(instability, dataset, variant) for dataset, variant in runs]
    num_columns = max(of_run["temperature"].nunique() for of_run in shown)
    with mpl.rc_context(STYLE):
        column = (MAX_WIDTH - 0.3) / num_columns  # inches
        height = (column * DRAWN + 0.35) * len(runs) + 0.6
        layout = ConstrainedLayoutEngine(w_pad=0.02, wspace=0)
        figure = Figure(figsize=(MAX_WIDTH, height), layout=layout)
        rows = figure.subplots(len(runs), num_columns, squeeze=False)
        for panels, of_run, (dataset, variant) in zip(rows, shown, runs, strict=True):
            temperatures = sorted(of_run["temperature"].unique())
            directory = run_directories / dataset / variant / f"seed{of_run['seed'].iloc[0]}"
            samples = read_samples(directory, len(temperatures))
            nearest = nearest_temperature(of_run)
            for ax, temperature, images in zip(panels, temperatures, samples, strict=False):
                _draw_column(ax, images[:DRAWN])
                ax.set_title(
                    f"{temperature:g}", fontweight="bold" if temperature == nearest else None
                )
            for ax in panels[len(temperatures) :]:
                ax.remove()
            panels[0].set_ylabel(f"{dataset} ({variant})")
        note = fill(_note(shown), int(MAX_WIDTH / CHARACTER))
        figure.supxlabel(note, x=0.01, ha="left", fontsize=FONT_SIZE)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # the layout is done; each format would do it again
    return figure


def _draw_column(ax: Axes, images: Images) -> None:
    """Images [n, C, H, W] below each other, a white line between them."""
    scale = max(1, 64 // images.shape[-1])  # so that a thin line is a whole number of pixels
    images = images.repeat(scale, axis=2).repeat(scale, axis=3)
    num_images, channels, height, width = images.shape
    line = height // 24
    canvas = np.full((num_images * (height + line) - line, width, channels), 255, dtype=np.uint8)
    for index, image in enumerate(images):
        top = index * (height + line)
        canvas[top : top + height] = image.transpose(1, 2, 0)
    ax.imshow(
        canvas if channels == 3 else canvas[..., 0],
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="nearest",
    )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def _note(shown: Sequence[pd.DataFrame]) -> str:
    """What the columns are, and how the temperature is chosen."""
    seeds = row_by_row(of_run["seed"].iloc[0] for of_run in shown)
    return (
        f"Unconditional samples, seed {seeds}, EMA weights, by temperature: the factor on the "
        "prior's sigma in every layer. A row has the same noise at every temperature. Bold: the "
        "temperature whose energies per resolution are nearest to those of the test images (mean "
        "|ln ratio|)."
    )
