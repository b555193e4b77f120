"""What `train.json` says of a training, as far as tables show it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from model.files import AGAIN
from model.table import ResultError, read_file
from model.validation import ConfigError, validated


@dataclass(frozen=True, kw_only=True)
class Versions:
    """Versions of what computed."""

    python: str
    torch: str
    numpy: str
    cuda: str | None


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A stretch of a training in one process, between a start and a stop."""

    started: AwareDatetime
    host: str
    device: str
    ranks: int
    gpus: int  # 0: on a CPU
    threads: int
    git_commit: str | None
    git_dirty: bool | None
    code_digest: str
    versions: Versions
    first_step: int
    last_step: int
    seconds: float
    peak_memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class TrainingRecord:
    """A finished or diverged training."""

    status: Literal["finished", "diverged"]
    config_hash: str
    dataset_sha256: str
    settings: dict[str, Any]  # the whole RunConfig, as trained
    num_parameters: int
    step: int
    skipped_updates: int
    nonfinite_losses: int
    resumes: int
    wall_seconds: float
    gpu_hours: float
    peak_memory_bytes: int
    sha256: dict[str, str]  # of the files that the training wrote, by name
    segments: Annotated[tuple[Segment, ...], Field(min_length=1)]

    @classmethod
    def read(cls, path: Path) -> "TrainingRecord":
        """Read a `train.json`; raises ResultError, one line."""
        content = read_file(path)
        try:
            return validated(cls, json.loads(content))
        except (ValueError, RecursionError, ConfigError) as error:  # a ValueError: not UTF-8, too
            reason = " ".join(str(error).split())
            raise ResultError(f"{path}: {reason}; {AGAIN}") from None

    @property
    def started(self) -> datetime:
        """Start of the first segment, in UTC."""
        return self.segments[0].started.astimezone(UTC)

    @property
    def code_digests(self) -> list[str]:
        """Digests of the code that trained, each once, in order of time."""
        return _once([segment.code_digest for segment in self.segments])

    def joined(self, name: str) -> str | None:
        """The values of a field of the segments, each once, in order of time: "a; b"."""
        values = [getattr(segment, name) for segment in self.segments]
        return "; ".join(_once([v for v in values if v is not None])) or None


def _once(values: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(values))
