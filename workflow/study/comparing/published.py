"""What the paper published, to stand beside our numbers: falck2022.csv, each value with its source.

An empty `variant` is a method that we do not train; an empty `nll` is a value that the paper shows
in a figure only, or not at all.  VDVAE* is the paper's own run of VDVAE.
"""

from pathlib import Path

import pandas as pd

PAPER = "Falck et al. 2022"
PUBLISHED = Path(__file__).with_name("falck2022.csv")


def published() -> pd.DataFrame:
    """Every published row: text columns, empty where nothing is published, and `nll` (float64)."""
    rows = pd.read_csv(PUBLISHED, dtype=str, keep_default_na=False)
    return rows.assign(nll=pd.to_numeric(rows["nll"], errors="coerce"))


def published_rows(source: str, dataset: str) -> pd.DataFrame:
    """The rows of one table or figure of the paper, for one dataset, in its order."""
    rows = published()
    return rows[(rows["source"] == source) & (rows["dataset"] == dataset)]
