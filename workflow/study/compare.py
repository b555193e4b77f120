"""Two or more runs beside each other: how their settings and results differ, image by image."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from model.table import ResultError
from study.collecting.run_result import RunResult
from study.comparing.statistics import interval_95
from study.curve import Curve, mean_curve, read_curves
from study.place import default_study
from study.unit import in_unit

Values = dict[str, list[Any]]  # by name, one for each side


@dataclass(frozen=True)
class Side:
    """One run, or all seeds of a variant."""

    name: str
    runs: Sequence[RunResult]

    @cached_property
    def finished(self) -> dict[int, RunResult]:
        """Those that did not diverge, by seed."""
        return {run.config.seed: run for run in self.runs if run.training.status == "finished"}

    @property
    def model(self) -> Any:
        """The model's config, which all seeds share."""
        return self.runs[0].config.model

    def mean(self, value: Callable[[RunResult], float]) -> float:
        """The mean over the seeds that finished; NaN if none did."""
        values = [value(run) for run in self.finished.values()]
        return sum(values) / len(values) if values else nan


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The test NLL of one side minus that of the first, in the dataset's unit, paired."""

    name: str
    baseline: str
    unit: str
    mean: float
    interval_95_images: float  # half the width of the mean's interval over test images
    interval_95_seeds: float | None  # over seeds; None below two pairs
    num_images: int
    num_pairs: int  # of runs


def find_sides(results: Path, study: str | None, names: Sequence[str], config: Path) -> list[Side]:
    """What `find_side` finds for each name; raises ResultError."""
    if len(names) < 2:
        raise ResultError(f"{names[0]} is one run: name another one to compare it with")
    return [find_side(results, study, name, config) for name in names]


def find_side(results: Path, study: str | None, name: str, config: Path) -> Side:
    """The runs of `DATASET/VARIANT[/seedN]`, or of a run's folder; raises ResultError."""
    side = Side(name, [RunResult.read(path) for path in run_dirs(results, study, name, config)])
    if len({json.dumps({**run.training.settings, "seed": 0}) for run in side.runs}) > 1:
        raise ResultError(f"{name}: its seeds were trained with different settings; name one")
    return side


def run_dirs(
    results: Path, study: str | None, name: str, config: Path, file: str = "train.json"
) -> Sequence[Path]:
    """The folders of `DATASET/VARIANT[/seedN]` that have a file, or a folder named itself.

    Of several studies that have one, it is the one that config.yaml names. Raises ResultError if
    there is none, or if that is none of them.
    """
    if (Path(name) / file).is_file():
        return [Path(name).absolute()]
    studies = f"{study or '*'}/runs"
    found = sorted(results.glob(f"{studies}/{name}/{file}"))
    found = found or sorted(
        (path for path in results.glob(f"{studies}/{name}/seed*/{file}")),
        key=lambda path: (len(path.parent.name), path),  # seed2 before seed10
    )
    found = [path for path in found if path.parent.name.removeprefix("seed").isdecimal()]
    of_studies = sorted({path.relative_to(results).parts[0] for path in found})
    if len(of_studies) > 1:
        if chosen := default_study(of_studies, config):
            return [path.parent for path in found if path.relative_to(results).parts[0] == chosen]
        raise ResultError(f"{name} is in {', '.join(of_studies)}: name one with --study")
    if not found:
        known = {
            "/".join(path.parts[-4:-2]) for path in results.glob(f"{studies}/*/*/seed*/{file}")
        }
        kind = "trained run" if file == "train.json" else "run"
        raise ResultError(
            f"no {kind} {name} in {results / (study or '')}; there are "
            f"{', '.join(sorted(known)) or 'none'}"
        )
    return [path.parent for path in found]


def settings(sides: Sequence[Side]) -> Values:
    """The settings in which the sides differ, as they were trained."""
    of_sides = [flat(side.runs[0].training.settings) for side in sides]
    names = dict.fromkeys(name for values in of_sides for name in values)
    table = {name: [values.get(name) for values in of_sides] for name in names}
    return {name: values for name, values in table.items() if any(v != values[0] for v in values)}


def results(sides: Sequence[Side]) -> Values:
    """What came out, means over the seeds that finished; the NLL in the dataset's unit."""

    def in_units(column: str) -> list[float]:
        return [_in_unit(side, side.mean(lambda run: run.mean(column))) for side in sides]

    def of_training(value: Callable[[RunResult], float]) -> list[float]:
        return [side.mean(value) for side in sides]

    return {
        "study": [side.runs[0].directory.parts[-5] for side in sides],
        "runs": [len(side.runs) for side in sides],
        "diverged": [len(side.runs) - len(side.finished) for side in sides],
        "unit of NLL": [side.model.unit for side in sides],
        "test NLL": in_units("nll_nats"),
        "IW bound": in_units("iw_nll_nats"),
        "rate (nats)": of_training(lambda run: run.mean("rate_nats")),
        "parameters": [side.runs[0].training.num_parameters for side in sides],
        "depth": [side.model.stochastic_depth for side in sides],
        "iterations": of_training(lambda run: run.training.step),
        "hours": of_training(lambda run: run.training.wall_seconds / 3600),
        "skipped updates": of_training(lambda run: run.training.skipped_updates),
        "code": [
            " + ".join(dict.fromkeys(c[:8] for run in side.runs for c in run.training.code_digests))
            for side in sides
        ],
    }


def curve(side: Side) -> Curve:
    """The NLL of the validation images while training, the mean over seeds."""
    found = [
        read_curves(run.directory / "history.parquet", side.model).get("valid", [])
        for run in side.runs
    ]
    return mean_curve(found)


def difference(baseline: Side, side: Side) -> Difference:
    """The paired difference of two sides; raises ResultError where there is none to take.

    Seeds are paired with the same seeds, or one run with one run.
    """
    pairs = [
        (run, baseline.finished[seed])
        for seed, run in side.finished.items()
        if seed in baseline.finished
    ]
    if len(side.finished) == len(baseline.finished) == 1:
        pairs = list(zip(side.finished.values(), baseline.finished.values(), strict=True))
    between = f"{side.name} and {baseline.name}"
    if not pairs:
        raise ResultError(f"{between}: no finished runs of the same seed")
    for run, other in pairs:
        _check_comparable(between, run, other)
    of_pairs = [_nll_nats(run) - _nll_nats(other) for run, other in pairs]  # [images] each
    of_images = pd.Series([*map(float, np.mean(of_pairs, axis=0))])
    of_seeds = pd.Series([*map(float, np.mean(of_pairs, axis=1))])
    return Difference(
        name=side.name,
        baseline=baseline.name,
        unit=side.model.unit,
        mean=_in_unit(side, float(of_images.mean())),
        interval_95_images=_in_unit(side, interval_95(of_images)),
        interval_95_seeds=_in_unit(side, interval_95(of_seeds)) if len(pairs) > 1 else None,
        num_images=len(of_images),
        num_pairs=len(pairs),
    )


def _check_comparable(between: str, run: RunResult, other: RunResult) -> None:
    """That two runs were measured on the same images, and in the same unit."""
    measured = [(r.config.dataset, r.config.model.unit) for r in (run, other)]
    if measured[0] != measured[1] or run.training.dataset_sha256 != other.training.dataset_sha256:
        raise ResultError(f"{between}: not of the same data, so their images are no pairs")
    if len(_nll_nats(run)) != len(_nll_nats(other)):
        raise ResultError(f"{between}: not evaluated on the same number of images")


def _nll_nats(run: RunResult) -> "np.ndarray[Any, Any]":
    return np.asarray(run.table("test")["nll_nats"].to_numpy())


def _in_unit(side: Side, nats: float) -> float:
    return in_unit(nats, side.model.unit, side.model.likelihood_dims)


def flat(values: dict[str, Any], place: str = "") -> dict[str, Any]:
    """Nested settings by their paths: model.width."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{place}{name}.")
        else:
            found[f"{place}{name}"] = value
    return found
