"""Figure 6: unconditional samples over a row of temperatures."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from model.table import ResultError
from study.comparing.selection import baselines
from study.figures.style import MAX_WIDTH, finish, in_style, shared_or_each
from study.figures.tiles import draw_tiles
from study.planning.ablation import Ablation
from study.results import StudyResults

DRAWN = 3  # samples per temperature
WIDEST = 1.1  # inches, of a sample, where there are few temperatures


@in_style
def draw(ablations: Sequence[Ablation], results: StudyResults) -> Figure:
    """A grid per dataset and baseline: a column per temperature, a row per draw of the noise."""
    runs = baselines(ablations)
    shown = [results.probed_run("temperatures", dataset, variant) for dataset, variant in runs]
    num_columns = max(map(len, shown))
    column = min((MAX_WIDTH - 0.3) / num_columns, WIDEST)  # inches
    height = (column * DRAWN + 0.35) * len(runs)
    layout = ConstrainedLayoutEngine(w_pad=0.02, wspace=0, compress=True)
    figure = Figure(figsize=(MAX_WIDTH, height), layout=layout)
    rows = figure.subplots(len(runs), num_columns, squeeze=False)
    for panels, of_run, (dataset, variant) in zip(rows, shown, runs, strict=True):
        samples = results.images("samples", dataset, variant, int(of_run["seed"].iloc[0]))
        if samples.ndim != 5 or len(samples) != len(of_run):
            raise ResultError(
                f"samples.npy of {dataset}/{variant}: its shape {samples.shape} does not fit the "
                f"{len(of_run)} temperatures of instability.parquet; probe this run again"
            )
        columns = zip(of_run["temperature"], of_run["is_nearest"], samples, strict=True)
        for ax, (temperature, is_nearest, images) in zip(panels, columns, strict=False):
            draw_tiles(ax, images[np.newaxis, :DRAWN])
            ax.set_title(f"T = {temperature:g}", fontweight="bold" if is_nearest else None)
        for ax in panels[len(of_run) :]:
            ax.remove()
        panels[0].set_ylabel(f"{dataset} ({variant})")
    title = f"Samples by temperature: study {ablations[0].study}"
    return finish(figure, title, _note(shown))


def _note(shown: Sequence[pd.DataFrame]) -> str:
    """What the columns are, and how the temperature is chosen."""
    seeds = shared_or_each(of_run["seed"].iloc[0] for of_run in shown)
    return (
        f"Unconditional samples, seed {seeds}, EMA weights, by temperature T: the factor on the "
        "prior's sigma in every layer. A row has the same noise at every temperature. Bold: the "
        "temperature whose energies per resolution are nearest to those of the test images (mean "
        "|ln ratio|)."
    )
