"""What the folder of one run holds: its config, how it was trained, its tables."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from model.data.sources import sha256_of
from model.files import AGAIN, NOT_YET, is_older
from model.run_config import RunConfig
from model.run_tables import written_by
from model.table import ResultError, metadata_of, read_file, read_parquet
from model.validation import ConfigError
from study.collecting.training_record import TrainingRecord


@dataclass(frozen=True)
class RunResult:
    """A run that was trained; its tables are read when they are asked for."""

    directory: Path
    config: RunConfig  # as trained: the defaults of that time, not today's
    training: TrainingRecord
    _tables: dict[str, pa.Table] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> "RunResult":
        """Read a run's folder; raises ResultError if its files are not of one and the same run."""
        path, record = directory / "config.yaml", directory / "train.json"
        read_file(path)
        try:
            planned = RunConfig.load(path)
        except ConfigError as error:
            raise ResultError(f"{error}; {AGAIN}") from None
        if directory.parts[-3:] != (planned.dataset, planned.variant, f"seed{planned.seed}"):
            raise ResultError(
                f"{directory}: its config.yaml is of {planned.dataset}/{planned.variant}/"
                f"seed{planned.seed}; the path and the config of a run must name the same run"
            )
        training = TrainingRecord.read(record)
        _check(record, "config_hash", training.config_hash, planned.hash, made_of=path)
        try:
            config = RunConfig.of_settings(training.settings)
        except ConfigError as error:
            raise ResultError(f"{record}: settings: {error}; {AGAIN}") from None
        return cls(directory, config, training)

    def table(self, name: str) -> pa.Table:
        """One of RUN_TABLES; raises ResultError if it is missing or of another run."""
        if name not in self._tables:
            self._tables[name] = self._read(name)
        return self._tables[name]

    def _read(self, name: str) -> pa.Table:
        path = self.directory / f"{name}.parquet"
        table = read_parquet(path)
        about = metadata_of(table)
        if about.get("table") != name:
            raise ResultError(f"{path} is no table {name}; {AGAIN}")
        is_of_training = name in written_by("train")
        made_of = path if is_of_training else self.directory / "model.safetensors"
        for key in ("config_hash", "dataset_sha256"):
            _check(path, key, about.get(key), getattr(self.training, key), made_of=made_of)
        if "code_digest" not in about:
            raise ResultError(f"{path}: it does not say which code computed it; {AGAIN}")
        if is_of_training:
            expected = self.training.sha256.get(path.name)
            _check(path, "sha256", sha256_of(path), expected, made_of=made_of)
        return table

    def mean(self, name: str) -> float:
        """The mean of a column of the table `test` over the test images."""
        return float(np.mean(self.table("test")[name].to_numpy()))

    def standard_error(self, name: str) -> float:
        """The standard error of that mean over the test images (ddof 1); NaN for one image."""
        values = self.table("test")[name].to_numpy()
        return float(np.std(values, ddof=1) / len(values) ** 0.5) if len(values) > 1 else np.nan

    def about(self, table: str, name: str) -> str:
        """A setting or the provenance of a table, from its metadata."""
        return metadata_of(self.table(table))[name]


def _check(
    path: Path, name: str, found: str | None, expected: str | None, *, made_of: Path
) -> None:
    """That a file belongs to the run: `expected` is what its config or its train.json says."""
    if found == expected:
        return
    if is_older(path, made_of):
        raise ResultError(f"{path} {NOT_YET}")
    raise ResultError(f"{path}: its {name} is {found}, that of the run {expected}; {AGAIN}")
