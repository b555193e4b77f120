"""The table `temperatures`: how near samples come to test images, by temperature (section 3.3)."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from model.table import Table, column
from study.collecting.run_result import RunResult
from study.comparing.code import code_columns, with_note
from study.tables.markdown import with_caption

TABLE = Table(
    name="temperatures",
    row="probed run and temperature",
    note="From `instability.parquet`: which temperature's samples are nearest to the test images.",
    columns=[
        column("temperature", pa.float64(), "factor on the prior's sigma in every layer"),
        column(
            "energy_deviation",
            pa.float64(),
            "mean over resolutions of |ln(energy of samples / energy of test images)|",
        ),
        column("is_nearest", pa.bool_(), "whether the energy deviation is the run's least"),
        column(
            "histogram_distance",
            pa.float64(),
            "Wasserstein-1 distance between the pixel histograms of samples and test images",
            "grey levels",
        ),
        column("resolutions", pa.list_(pa.int64()), "resolutions of energy_ratios", "pixels"),
        column(
            "energy_ratios",
            pa.list_(pa.float64()),
            "energy of samples / energy of test images in the detail of each resolution",
        ),
        *code_columns("training", "probe"),
    ],
)


def rows(run: RunResult) -> Iterator[dict[str, Any]]:
    """One row per temperature."""
    code = {
        "training_code_digest": run.training.joined("code_digest"),
        "probe_code_digest": run.about("instability", "code_digest"),
    }
    return (row | code for row in temperature_rows(run.table("instability").to_pandas()))


def temperature_rows(instability: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """One row per temperature, of the instability of one run."""
    deviation = energy_deviation(instability)
    nearest = nearest_temperature(instability)
    for temperature, at in instability.groupby("temperature"):
        yield {
            "temperature": temperature,
            "energy_deviation": deviation[temperature],
            "is_nearest": temperature == nearest,
            "histogram_distance": at["histogram_distance"].iloc[0],
            "resolutions": at["resolution"].tolist(),
            "energy_ratios": (at["energy_samples"] / at["energy_test"]).tolist(),
        }


def energy_deviation(instability: pd.DataFrame) -> "pd.Series[float]":
    """Mean over resolutions of |ln(energy of samples / energy of test images)|, by temperature.

    For the instability table of one run.
    """
    ratio = instability["energy_samples"] / instability["energy_test"]
    with np.errstate(divide="ignore"):  # black samples have no energy: infinitely far
        deviation = pd.Series(np.log(ratio), index=ratio.index).abs()
    return deviation.groupby(instability["temperature"]).mean()


def nearest_temperature(instability: pd.DataFrame) -> float:
    """The temperature of the least energy deviation.

    Not that of the least histogram distance: for binary images that one compares the share of white
    pixels and nothing else.
    """
    deviation = energy_deviation(instability)
    return float(deviation.index.to_numpy()[deviation.to_numpy().argmin()])


def to_markdown(temperatures: pd.DataFrame) -> str:
    """The table in Markdown: per run the nearest and the highest temperature, the caption above."""
    highest = temperatures.groupby(["dataset", "variant", "seed"])["temperature"].transform("max")
    shown = temperatures[temperatures["is_nearest"] | (temperatures["temperature"] == highest)]
    cells = [
        [
            row["dataset"],
            row["variant"],
            row["seed"],
            f"{row['temperature']:g}{' (nearest)' if row['is_nearest'] else ''}",
            f"{row['energy_deviation']:.3f}",
            f"{row['histogram_distance']:.2f}",
            ", ".join(
                f"{resolution}: {ratio:.2f}"
                for resolution, ratio in zip(row["resolutions"], row["energy_ratios"], strict=True)
            ),
        ]
        for row in shown.to_dict("records")
    ]
    headings = [
        "dataset",
        "variant",
        "seed",
        "temperature",
        "energy deviation",
        "histogram distance",
        "energy, samples / test, by resolution",
    ]
    return with_caption(with_note(_CAPTION, temperatures), headings, cells, num_left=len(headings))


_CAPTION = (
    "Samples against test images, EMA weights. Energy: mean square of the detail that a resolution "
    "adds to the next coarser one; 1: of the mean. Energy deviation: mean over resolutions of "
    "|ln(samples / test)|; the nearest temperature is the one where it is least. Histogram "
    "distance: Wasserstein-1 distance of the pixel values, grey levels of 0 ... 255. Of each run "
    "the nearest and the highest temperature; all are in temperatures.parquet."
)
