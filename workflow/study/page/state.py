"""How far a study is, and what made it: the first thing that its page says."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from model.training.progress_file import duration

Row = Mapping[str, Any]

_SHORT = 12  # digits of a commit that are shown


@dataclass(frozen=True, kw_only=True)
class StudyState:
    """The runs of a study, and where they were trained."""

    num_planned: int
    num_finished: int
    diverged: Sequence[str]  # names of runs
    missing: Sequence[str]
    facts: Mapping[str, str]  # for reading, by what they are

    @property
    def is_complete(self) -> bool:
        return not self.missing


def state_of(
    runs: Sequence[Row], timings: Sequence[Row], segments: Sequence[Row], missing: Sequence[str]
) -> StudyState:
    """The state by the tables `runs`, `timings` and `segments`; `missing` names further runs."""
    diverged = [
        f"{row['dataset']}/{row['variant']}/seed{row['seed']}"
        for row in runs
        if row["status"] == "diverged"
    ]
    return StudyState(
        num_planned=len(runs) + len(missing),
        num_finished=len(runs) - len(diverged),
        diverged=diverged,
        missing=missing,
        facts=_facts(runs, timings, segments),
    )


def trained_until(segments: Iterable[Row]) -> datetime:
    """When the last training of the table `segments` ended."""
    end: datetime = max(row["started"] + timedelta(seconds=row["seconds"]) for row in segments)
    return end


def _facts(runs: Sequence[Row], timings: Sequence[Row], segments: Sequence[Row]) -> dict[str, str]:
    begun = min(row["started"] for row in segments)
    gpu_hours = sum(row["gpu_hours"] for row in timings)
    commits = [
        f"{row['git_commit'][:_SHORT]}{' + changes' if row['git_dirty'] else ''}"
        for row in segments
        if row["git_commit"]
    ]
    codes = _once(row["code_digest"] for row in segments)
    facts = {
        "datasets": ", ".join(_once(f"{r['dataset']} ({r['dataset_version']})" for r in runs)),
        "variants": f"{len({row['variant'] for row in runs})}",
        "iterations": ", ".join(f"{n:,}" for n in sorted({row["iterations"] for row in runs})),
        "trained": f"{begun:%Y-%m-%d %H:%M} to {trained_until(segments):%Y-%m-%d %H:%M} UTC",
        "time of all trainings": duration(sum(row["wall_seconds"] for row in timings)),
        "GPU hours": f"{gpu_hours:,.1f}" if gpu_hours else "",
        "devices": ", ".join(_once(row["device"] for row in segments)),
        "commits": ", ".join(_once(commits)) or "outside a repository",
        "code of the trainings": codes[0][:_SHORT] if len(codes) == 1 else _several(codes),
        "PyTorch": ", ".join(_once(row["torch_version"] for row in segments)),
    }
    return {name: text for name, text in facts.items() if text}


def _several(codes: Sequence[str]) -> str:
    return f"{len(codes)} different ones: {', '.join(code[:_SHORT] for code in codes)}"


def _once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
