"""The results of a study that tables and figures are made of."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.measurement.kept_images import Images, read_images
from model.table import read_parquet
from study.collecting.collect import collect

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class StudyResults:
    """Tables of some runs of a study, by name, and the folder of all its runs."""

    tables: Mapping[str, "pd.DataFrame"]
    runs: Path

    @classmethod
    def of_runs(
        cls, study_dir: Path, study: str, names: Sequence[str], run_dirs: Iterable[Path]
    ) -> "StudyResults":
        """Tables of these runs only, out of their folders; raises ResultError."""
        tables = collect(study, names, run_dirs)
        return cls({name: table.to_pandas() for name, table in tables.items()}, study_dir / "runs")

    def probed_run(self, name: str, dataset: str, variant: str) -> "pd.DataFrame":
        """The rows of a variant's probed run, its first seed, in a table."""
        table = self.tables[name]
        found = table[(table["dataset"] == dataset) & (table["variant"] == variant)]
        return found[found["seed"] == found["seed"].min()]

    def test_nll_nats(self, dataset: str, variant: str, seed: int) -> "np.ndarray[Any, Any]":
        """The NLL of each test image of a run, nats, float64 [N]; raises ResultError."""
        path = self.run_dir(dataset, variant, seed) / "test.parquet"
        return read_parquet(path, ["nll_nats"])["nll_nats"].to_numpy()

    def run_dir(self, dataset: str, variant: str, seed: int) -> Path:
        """The folder of a run."""
        return self.runs / dataset / variant / f"seed{seed}"

    def images(self, name: str, dataset: str, variant: str, seed: int) -> Images:
        """Images that a run keeps, uint8 [kinds, n, C, H, W]; raises ResultError.

        `name` is samples, of temperatures, or learnt, of resolutions.
        """
        return read_images(self.run_dir(dataset, variant, seed) / f"{name}.npy")
