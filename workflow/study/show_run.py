"""One run, or all seeds of a variant: settings, learning curve, and who trained it where."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from model.run_config import RunConfig
from model.table import ResultError
from model.training.progress_file import FILE, ProgressFile, duration
from model.validation import ConfigError, validated
from model.wording import counted
from study.collecting.run_result import RunResult
from study.collecting.training_record import Segment
from study.compare import Side, flat, results, run_dirs
from study.compare_text import cell, for_reading
from study.curve import Curve, drawn, read_curves
from study.text_table import Column, Part, as_json, print_parts

POINTS = 20  # of a learning curve, where it is not drawn
SEGMENT_COLUMNS = (
    Column("seed"),
    Column("started"),
    Column("steps"),
    Column("time", is_number=True),
    Column("host", leaves=1),
    Column("device", leaves=3),
    Column("commit"),
    Column("code", leaves=2),
    Column("torch", leaves=4),
)


@dataclass(frozen=True)
class ShownRun:
    """A run that is trained, or in training: then it has no result."""

    name: str
    directory: Path
    config: RunConfig
    result: RunResult | None
    progress: ProgressFile | None

    @classmethod
    def read(cls, directory: Path) -> "ShownRun":
        """Read a run's folder; raises ResultError."""
        name = "/".join(directory.parts[-3:])
        if (directory / "train.json").exists():
            result = RunResult.read(directory.absolute())
            return cls(name, directory, result.config, result, None)
        try:
            config = RunConfig.load(directory / "config.yaml")
        except ConfigError as error:
            raise ResultError(str(error)) from None
        return cls(name, directory, config, None, _progress(directory / "state" / FILE))

    @property
    def curves(self) -> dict[str, Curve]:
        """The learning curve, so far if it is in training."""
        folder = self.directory if self.result else self.directory / "state"
        path = folder / "history.parquet"
        return read_curves(path, self.config.model) if path.exists() else {}

    @property
    def segments(self) -> Sequence[Segment]:
        """What each process trained; nothing before the training has ended."""
        return self.result.training.segments if self.result else ()


def show_run(where: Path, study: str | None, name: str, config: Path, *, json: bool) -> None:
    """Print a run (`DATASET/VARIANT/seedN` or its folder) or all seeds; raises ResultError."""
    runs = [ShownRun.read(path) for path in run_dirs(where, study, name, config, "config.yaml")]
    print(_json(runs)) if json else _print(name, runs)


def _print(name: str, runs: Sequence[ShownRun]) -> None:
    settings = flat(runs[0].config.settings)
    parts: list[Part] = [f"{run.name}: {_state(run)} ({run.directory})" for run in runs]
    parts += [
        "",
        ([Column("setting"), Column("value")], [[k, str(v)] for k, v in settings.items()]),
    ]
    if found := _results(name, runs):
        of_one = for_reading({key: [value] for key, value in found.items()})
        rows = [[key, cell(value)] for key, (value,) in of_one.items()]
        parts += ["", ([Column("result"), Column("value", is_number=True)], rows)]
    parts += ["", *_curves(runs)]
    segments = [_segment(run, segment) for run in runs for segment in run.segments]
    if segments:
        parts += ["", (SEGMENT_COLUMNS, segments)]
    print_parts(parts)


def _state(run: ShownRun) -> str:
    if run.result is not None:
        return f"{run.result.training.status} after {counted(run.result.training.step, 'step')}"
    if run.progress is None:
        return "not trained yet"
    at = f"at step {run.progress.step:,} of {run.progress.iterations:,}"
    return f"{run.progress.status} {at} on {run.progress.host}, {run.progress.updated}"


def _results(name: str, runs: Sequence[ShownRun]) -> dict[str, Any]:
    """What came out, means over the seeds that finished; nothing while none is evaluated."""
    done = [run.result for run in runs if run.result]
    evaluated = [result for result in done if (result.directory / "test.parquet").exists()]
    if not evaluated:
        return {}
    return {key: values[0] for key, values in results([Side(name, evaluated)]).items()}


def _curves(runs: Sequence[ShownRun]) -> list[Part]:
    """The curves, drawn on a terminal and as numbers elsewhere."""
    unit = runs[0].config.model.unit
    named = {
        f"{split} {run.name.rpartition('/')[2]}" if len(runs) > 1 else split: curve
        for run in runs
        for split, curve in run.curves.items()
    }
    console = Console()
    if console.is_terminal:
        text = drawn(named, unit, console.width, with_colours=not console.no_color)
        return [Text.from_ansi(text)] if text else []
    columns = [
        Column("curve"),
        Column("step", is_number=True),
        Column(f"NLL ({unit})", is_number=True),
    ]
    rows = [
        [name, str(step), f"{nll:.4f}"]
        for name, curve in named.items()
        for step, nll in thin(curve)
    ]
    return [(columns, rows)] if rows else []


def thin(curve: Curve) -> Curve:
    """Some points of a curve, the last one among them."""
    every = -(-len(curve) // POINTS)
    return curve[::-1][::every][::-1]


def _segment(run: ShownRun, segment: Segment) -> list[str]:
    commit = (segment.git_commit or "")[:8]
    return [
        str(run.config.seed),
        f"{segment.started:%Y-%m-%d %H:%M}",
        f"{segment.first_step:,} to {segment.last_step:,}",
        duration(segment.seconds),
        segment.host,
        segment.device if segment.ranks == 1 else f"{segment.ranks} x {segment.device}",
        f"{commit}{'+changes' if segment.git_dirty else ''}",
        segment.code_digest[:8],
        segment.versions.torch,
    ]


def _json(runs: Sequence[ShownRun]) -> str:
    content = []
    for run in runs:
        record = json.loads((run.directory / "train.json").read_bytes()) if run.result else {}
        content.append(
            {
                "run": run.name,
                "state": _state(run),
                "settings": run.config.settings,
                "unit": run.config.model.unit,
                "results": _results(run.name, [run]),
                "curves": run.curves,
                "segments": record.get("segments", []),
            }
        )
    return as_json(content)


def _progress(path: Path) -> ProgressFile | None:
    try:
        return validated(ProgressFile, json.loads(path.read_bytes()))
    except (OSError, ValueError):  # a ConfigError, too
        return None
