"""Where the learning curve goes besides `history.parquet`: TensorBoard, Weights & Biases.

Each writer is an optional package, and has no influence on the training.  This file imports neither
torch nor any of them.
"""

import logging
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

from model.config import ConfigError
from model.run_config import RunConfig

log = logging.getLogger(__name__)

WriterName = Literal["tensorboard", "wandb"]  # as their packages are called
LABELS = ("step", "split", "weights")  # of a row of the curve; all else in it are numbers


class CurveWriter(Protocol):
    """Writes a whole curve, in the order of its steps; files of an earlier one are replaced."""

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the numbers of a step; some steps come in several parts."""

    def close(self) -> None:
        """Finish the files."""


def check_installed(names: Iterable[WriterName]) -> None:
    """Raise ConfigError for the first whose package is not there."""
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(f"{name} is not installed; pip install {name}", place="report_to")


class CurveWriters:
    """The writers that a training has been asked for.

    Where one cannot write, or is not installed, a warning says so and the training goes on.
    """

    def __init__(
        self, names: Iterable[WriterName], folder: Path, run: RunConfig, rows: Iterable[Any]
    ) -> None:
        """Begin with the rows that a resumed training has: none of them is there twice."""
        self._writers: dict[str, CurveWriter] = {}
        for name in names:
            try:
                self._writers[name] = _opened(name, folder, run)
            except Exception as error:
                _warn(name, error)
        for row in rows if self._writers else ():
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write a row of the learning curve: `nll_nats/valid_ema` and the like."""
        kind = f"{row['split']}_{row['weights']}"
        values = {
            f"{column}/{kind}": number
            for column, number in row.items()
            if column not in LABELS and number is not None
        }
        for name, writer in list(self._writers.items()):
            try:
                writer.add(row["step"], values)
            except Exception as error:
                _warn(name, error)
                del self._writers[name]

    def close(self) -> None:
        """Finish all files."""
        for name, writer in self._writers.items():
            try:
                writer.close()
            except Exception as error:
                _warn(name, error)


def _opened(name: WriterName, folder: Path, run: RunConfig) -> CurveWriter:
    if name == "tensorboard":
        from model.training.tensorboard_writer import TensorboardWriter

        return TensorboardWriter(folder)
    from model.training.wandb_writer import WandbWriter

    return WandbWriter(folder, run)


def _warn(name: str, error: Exception) -> None:
    reason = " ".join(str(error).split())[:300]
    log.warning("report_to %s: %s; the training goes on without it", name, reason)
