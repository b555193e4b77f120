"""What no table of a study needs any more, and its removal."""

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from model.data.published import EMBEDDED, PUBLISHED
from model.table import ResultError
from study.head.lock import HeadLives, HeadLock
from study.plan import plan_runs
from study.plan_cost import bytes_under
from study.planning.content import StudyData, record_of
from study.planning.study import Study
from study.status import is_training

Kind = Literal["states", "runs", "data"]
KINDS: tuple[Kind, ...] = ("states", "runs", "data")


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A file or folder that could go."""

    kind: Kind
    path: Path
    reason: str
    size_bytes: int
    hours: float = 0.0  # of finished training in it: GPU hours, or hours on a CPU


def leftovers(study: Study, data: StudyData, results: Path) -> list[Leftover]:
    """All that could go; runs that are being trained are left out."""
    return [
        *_states(study, data, results),
        *_runs(study, results / study.name / "runs"),
        *_data(study, Path(data.data_dir), results.absolute().parent),
    ]


def remove(found: Iterable[Leftover], study: Study, project: Path) -> None:
    """Delete what was found, while no snakemake can start; raises ResultError if one works."""
    found = list(found)
    lock = HeadLock(project / ".snakemake/heads", study.name)
    try:
        lock.take(on_loss=lambda: None)
    except HeadLives as error:
        raise ResultError(str(error)) from None
    try:
        living = [head.study for head, lives in lock.others().values() if lives]
        if living and any(leftover.kind == "data" for leftover in found):
            raise ResultError(
                f"study {living[0]} is being made, and data are shared by all: wait for it, or "
                "leave data out with --only states runs"
            )
        for leftover in found:
            if leftover.path.is_dir():
                shutil.rmtree(leftover.path)
            else:
                leftover.path.unlink(missing_ok=True)
    finally:
        lock.release()


def _states(study: Study, data: StudyData, results: Path) -> Iterator[Leftover]:
    """States that belong neither to the planned training of a run nor to its result."""
    for plan in plan_runs(study, data, results):
        folder = results / study.name / "runs" / plan.run.name
        content = data.content(plan.run.dataset, plan.run.variant, plan.run.seed)
        # A result of other settings may still be wanted: only its own states bring it back.
        is_settled = plan.action in ("done", "evaluate") or record_of(folder) is None
        if content is None or content.startswith("of ") or not is_settled or is_training(folder):
            continue
        planned = study.run_config(plan.run).identity(content)
        for states in sorted((folder / "state").glob("*/")):
            if states.name != planned and any(states.glob("step*")):
                yield _leftover("states", states, "states of other settings or data")
        for damaged in sorted((folder / "state" / planned).glob("step*.damaged")):
            yield _leftover("states", damaged, "a damaged state")


def _runs(study: Study, folder: Path) -> Iterator[Leftover]:
    """Runs that the study does not have any more, and those set aside."""
    planned = {run.name for run in study.runs}
    for run in sorted(folder.glob("*/*/seed*/")):
        seed, _, aside = run.name.removeprefix("seed").partition("-before-")
        is_run = seed.isdecimal() and (not aside or aside.isdecimal())
        if not is_run or "/".join(run.parts[-3:]) in planned or is_training(run):
            continue
        reason = "set aside by study retrain" if aside else "in no ablation of the study"
        record = record_of(run) or {}
        hours = record.get("gpu_hours") or record.get("wall_seconds", 0.0) / 3600
        yield _leftover("runs", run, reason, hours)


def _data(study: Study, data_dir: Path, project: Path) -> Iterator[Leftover]:
    """Arrays and raw files of datasets that no study uses, if they can be had again.

    None of a folder outside of this project, which others may use.
    """
    if not data_dir.resolve().is_relative_to(project.resolve()):
        return
    used = {dataset for entry in study.file.studies.values() for dataset in entry.datasets}
    for info in sorted(data_dir.glob("*/dataset.json")):
        dataset = info.parent.name
        raw = data_dir / "raw" / dataset
        has_source = raw.exists() or raw.with_name(f"{dataset}.zip").exists()
        if dataset not in used and (dataset in EMBEDDED or has_source):
            yield _leftover("data", info.parent, "arrays of a dataset that no study uses")
    for raw in sorted((data_dir / "raw").glob("*/")):
        source = PUBLISHED.get(raw.name)
        # What has no direct link could not be had again, nor could a user's own images.
        if raw.name not in used and source is not None and source.mirrors:
            yield _leftover("data", raw, "downloaded, of a dataset that no study uses")


def _leftover(kind: Kind, path: Path, reason: str, hours: float = 0.0) -> Leftover:
    size = bytes_under(path) if path.is_dir() else path.stat().st_size
    return Leftover(kind=kind, path=path, reason=reason, size_bytes=size, hours=hours)
