"""What the folder of one run holds: its config, how it was trained, its tables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model.run_config import RunConfig
from model.run_tables import RUN_TABLES
from model.table import ResultError, metadata_of


@dataclass(frozen=True)
class RunResult:
    """A run that was trained; its tables are read when they are asked for."""

    directory: Path
    config: RunConfig
    training: Mapping[str, Any]  # train.json
    _tables: dict[str, pa.Table] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> "RunResult":
        """Read a run's folder; raises ResultError if its files are not of one and the same run."""
        config = RunConfig.load(_existing(directory / "config.yaml"))
        if directory.parts[-3:] != (config.dataset, config.variant, f"seed{config.seed}"):
            raise ResultError(
                f"{directory}: its config.yaml is of {config.dataset}/{config.variant}/"
                f"seed{config.seed}; the path and the config of a run must name the same run"
            )
        path = _existing(directory / "train.json")
        try:
            training: dict[str, Any] = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ResultError(f"{path}: {error}; train this run again") from None
        _check_hash(path, training.get("config_hash"), config, "train")
        return cls(directory, config, training)

    def table(self, name: str) -> pa.Table:
        """One of RUN_TABLES; raises ResultError if it is missing or of another run."""
        if name not in self._tables:
            self._tables[name] = self._read(name)
        return self._tables[name]

    def _read(self, name: str) -> pa.Table:
        path = _existing(self.directory / f"{name}.parquet")
        command = RUN_TABLES[name].command
        try:
            table = pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise ResultError(f"{path}: {reason}; {command} this run again") from None
        metadata = metadata_of(table)
        if metadata.get("table") != name:
            raise ResultError(f"{path} is no table {name}; {command} this run again")
        _check_hash(path, metadata.get("config_hash"), self.config, command)
        return table

    def mean(self, name: str) -> float:
        """The mean of a column of the table `test` over the test images."""
        return float(np.mean(self.table("test")[name].to_numpy()))

    def standard_error(self, name: str) -> float:
        """The standard error of that mean over the test images (ddof 1); NaN for one image."""
        values = self.table("test")[name].to_numpy()
        return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else np.nan

    def evaluated(self, name: str) -> str:
        """A setting or the provenance of the evaluation, from the metadata of the table `test`."""
        return metadata_of(self.table("test"))[name]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ResultError(f"{path} is missing: train, evaluate and probe this run first")
    return path


def _check_hash(path: Path, found: str | None, config: RunConfig, command: str) -> None:
    if found != config.hash:
        raise ResultError(
            f"{path}: config_hash is {found}, but the run has {config.hash}; "
            f"{command} this run again"
        )
