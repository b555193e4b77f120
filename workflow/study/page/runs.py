"""The runs of a study on its page: results, settings, and where each was trained."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import isfinite
from typing import Any

from model.config import ModelConfig, TrainConfig, descriptions
from model.training.progress_file import duration
from study.tables.markdown import DIVERGED, decimals

Row = Mapping[str, Any]

_SHORT = 12  # digits of a digest that are shown


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A setting, its value for reading, and its meaning."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What one process trained, for reading."""

    started: str
    steps: str
    time: str
    where: str
    code: str
    versions: str


@dataclass(frozen=True, kw_only=True)
class PageRun:
    """A run for reading."""

    dataset: str
    variant: str
    seed: int
    status: str
    nll: str
    iw_nll: str
    rate: str
    parameters: str
    steps: str
    time: str
    seconds: float  # by which `time` is sorted
    settings: Sequence[Setting]  # those that not all runs on its dataset share
    identity: Mapping[str, str]
    segments: Sequence[Segment]

    @property
    def name(self) -> str:
        return f"{self.dataset}/{self.variant}/seed{self.seed}"


@dataclass(frozen=True, kw_only=True)
class DatasetRuns:
    """The runs on one dataset, and the settings that all of them share."""

    dataset: str
    unit: str
    version: str
    num_images: int
    shared: Sequence[Setting]
    runs: Sequence[PageRun]


def runs_by_dataset(
    runs: Sequence[Row], timings: Iterable[Row], segments: Iterable[Row]
) -> list[DatasetRuns]:
    """The runs of the tables `runs`, `timings` and `segments`, in their order."""
    times = {_identity(row): row for row in timings}
    of_runs: dict[tuple[Any, ...], list[Row]] = {}
    for row in segments:
        of_runs.setdefault(_identity(row), []).append(row)
    found = []
    for dataset in dict.fromkeys(row["dataset"] for row in runs):
        rows = [row for row in runs if row["dataset"] == dataset]
        names = [name for name in _meanings() if name in rows[0]]  # not of an older table
        shared = {name for name in names if len({str(row[name]) for row in rows}) == 1}
        found.append(
            DatasetRuns(
                dataset=dataset,
                unit=rows[0]["unit"],
                version=rows[0]["dataset_version"],
                num_images=rows[0]["num_images"],
                shared=_settings(rows[0], shared),
                runs=[
                    _run(row, times[_identity(row)], of_runs[_identity(row)], shared)
                    for row in rows
                ],
            )
        )
    return found


def _run(row: Row, timing: Row, segments: Sequence[Row], shared: set[str]) -> PageRun:
    unit = "nats" if row["unit"] == "nats" else "bits_per_dim"
    digits = decimals(row[f"nll_evaluation_error_{unit}"] or 0, row["unit"])
    identity = {
        "config hash": row["config_hash"],
        "dataset digest": row["dataset_sha256"],
        "code of the training": timing["training_code_digest"],
        "code of the evaluation": timing["evaluation_code_digest"],
    }
    return PageRun(
        dataset=row["dataset"],
        variant=row["variant"],
        seed=row["seed"],
        status=row["status"],
        nll=_number(row[f"nll_{unit}"], digits),
        iw_nll=_number(row[f"iw_nll_{unit}"], digits),
        rate=_number(row["rate_nats"], 1),
        parameters=f"{row['num_parameters']:,}",
        steps=f"{row['iterations_done']:,}",
        time=duration(timing["wall_seconds"]),
        seconds=timing["wall_seconds"],
        settings=_settings(row, row.keys() - shared),
        identity={name: "; ".join(_short(value)) for name, value in identity.items()},
        segments=[_segment(segment) for segment in segments],
    )


def _segment(row: Row) -> Segment:
    commit = (row["git_commit"] or "")[:_SHORT] or "no repository"
    ranks = f"{row['ranks']} × " if row["ranks"] > 1 else ""
    versions = [f"Python {row['python_version']}", f"PyTorch {row['torch_version']}"]
    versions += [f"CUDA {row['cuda_version']}"] if row["cuda_version"] else []
    return Segment(
        started=f"{row['started']:%Y-%m-%d %H:%M} UTC",
        steps=f"{row['first_step']:,} to {row['last_step']:,}",
        time=duration(row["seconds"]),
        where=f"{row['host']}, {ranks}{row['device']}",
        code=f"{commit}{' + changes' if row['git_dirty'] else ''}",
        versions=", ".join(versions),
    )


def _settings(row: Row, names: Iterable[str]) -> list[Setting]:
    chosen = set(names)
    return [
        Setting(name=name, value=_value(row[name]), meaning=meaning)
        for name, meaning in _meanings().items()
        if name in chosen
    ]


@cache
def _meanings() -> dict[str, str]:
    """The meaning of each setting by its name, in the order of the config."""
    configs: Sequence[type[Any]] = (ModelConfig, TrainConfig)
    return {
        field.name: descriptions(config)[field.name]
        for config in configs
        for field in dataclasses.fields(config)
    }


def _number(value: float | None, digits: int) -> str:
    return DIVERGED if value is None or not isfinite(value) else f"{value:,.{digits}f}"


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _short(digests: str) -> list[str]:
    return [digest[:_SHORT] for digest in digests.split("; ")]


def _identity(row: Row) -> tuple[str, str, int]:
    return row["dataset"], row["variant"], row["seed"]
