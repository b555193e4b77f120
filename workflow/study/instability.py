"""Which temperature's samples are nearest to the test images, and how near (section 3.3)."""

import numpy as np
import pandas as pd
from tabulate import tabulate


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


def to_markdown(instability: pd.DataFrame) -> str:
    """The table in Markdown: per run the nearest and the highest temperature, the caption above."""
    rows = []
    for (dataset, variant, seed), of_run in instability.groupby(
        ["dataset", "variant", "seed"], sort=False
    ):
        deviation = energy_deviation(of_run)
        nearest = nearest_temperature(of_run)
        for temperature in sorted({nearest, float(of_run["temperature"].max())}):
            at = of_run[of_run["temperature"] == temperature]
            ratios = at["energy_samples"] / at["energy_test"]
            energies = [f"{r}: {q:.2f}" for r, q in zip(at["resolution"], ratios, strict=True)]
            rows.append(
                [
                    dataset,
                    variant,
                    seed,
                    f"{temperature:g}{' (nearest)' if temperature == nearest else ''}",
                    f"{deviation[temperature]:.3f}",
                    f"{at['histogram_distance'].iloc[0]:.2f}",
                    ", ".join(energies),
                ]
            )
    headings = [
        "dataset",
        "variant",
        "seed",
        "temperature",
        "energy deviation",
        "histogram distance",
        "energy, samples / test, by resolution",
    ]
    body = tabulate(rows, headers=headings, tablefmt="pipe", disable_numparse=True)
    return f"{_CAPTION}\n\n{body}\n"


_CAPTION = (
    "Samples against test images, EMA weights. Energy: mean square of the detail that a resolution "
    "adds to the next coarser one; 1: of the mean. Energy deviation: mean over resolutions of "
    "|ln(samples / test)|; the nearest temperature is the one where it is least. Histogram "
    "distance: Wasserstein-1 distance of the pixel values, grey levels of 0 ... 255. Of each run "
    "the nearest and the highest temperature; all are in instability.parquet."
)
