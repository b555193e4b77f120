"""Statistics over seeds, and over test images."""

from collections.abc import Sequence
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit  # scipy.stats takes half a second to import


def interval_95(values: "pd.Series[float]") -> float:
    """Half the width of the mean's 95 % interval by Student's t; NaN below two values."""
    if len(values) < 2:
        return nan
    return float(stdtrit(len(values) - 1, 0.975)) * float(np.asarray(values.sem()))


def mean_and_interval(name: str, values: "pd.Series[float]") -> dict[str, Any]:
    """The columns {name}_mean, {name}_standard_error and {name}_interval_95."""
    return {
        f"{name}_mean": values.mean(),
        f"{name}_standard_error": values.sem(),
        f"{name}_interval_95": interval_95(values),
    }


def evaluation_error(per_image: Sequence["np.ndarray[Any, Any]"]) -> float:
    """Standard error over the images of a mean over seeds, given [N] for each seed.

    It says how much the mean would differ on other test images, not with other trainings.
    """
    if not per_image or len(per_image[0]) < 2:
        return nan
    of_images = np.mean(per_image, axis=0)  # [N]
    return float(np.std(of_images, ddof=1) / len(of_images) ** 0.5)
