"""The results of a study that tables and figures are made of."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from model.table import ResultError

Images = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@dataclass(frozen=True)
class StudyResults:
    """The folder of a study's tables, and that of its runs."""

    tables: Path
    runs: Path

    @classmethod
    def of_study(cls, directory: Path) -> "StudyResults":
        """The results under results/{study}."""
        return cls(directory / "tables", directory / "runs")

    def table(self, name: str) -> pd.DataFrame:
        """A table of the study, by its name in the registry; raises ResultError."""
        path = self.tables / f"{name}.parquet"
        if not path.is_file():
            raise ResultError(f"{path} is missing; make it with snakemake")
        try:
            return pq.read_table(path).to_pandas()
        except (pa.ArrowException, OSError) as error:
            raise ResultError(f"{path}: {str(error).splitlines()[0]}; delete it") from None

    def probed_run(self, name: str, dataset: str, variant: str) -> pd.DataFrame:
        """The rows of a variant's probed run, its first seed, in a table; raises ResultError."""
        table = self.table(name)
        found = table[(table["dataset"] == dataset) & (table["variant"] == variant)]
        if found.empty:
            raise ResultError(
                f"{self.tables / name}.parquet has no run of {dataset}/{variant}; "
                "make it again with snakemake"
            )
        return found[found["seed"] == found["seed"].min()]

    def test_nll_nats(self, dataset: str, variant: str, seed: int) -> "np.ndarray[Any, Any]":
        """The NLL of each test image of a run, nats, float64 [N]; raises ResultError."""
        path = self.run_dir(dataset, variant, seed) / "test.parquet"
        try:
            return pq.read_table(path, columns=["nll_nats"])["nll_nats"].to_numpy()
        except (pa.ArrowException, OSError, KeyError) as error:
            reason = str(error).splitlines()[0]
            raise ResultError(f"{path}: {reason}; evaluate this run again") from None

    def run_dir(self, dataset: str, variant: str, seed: int) -> Path:
        """The folder of a run."""
        return self.runs / dataset / variant / f"seed{seed}"

    def samples(self, dataset: str, variant: str, seed: int) -> Images:
        """The kept samples of a run, uint8 [temperatures, n, C, H, W]; raises ResultError."""
        path = self.run_dir(dataset, variant, seed) / "samples.npy"
        if not path.is_file():
            raise ResultError(f"{path} is missing; probe this run first (python -m model.probe)")
        try:
            samples: Images = np.load(path)
        except (ValueError, EOFError) as error:
            raise ResultError(f"{path}: {error}; probe this run again") from None
        return samples
