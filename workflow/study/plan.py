"""What snakemake would do with each run of a study, and why, by the runs' own records.

This file imports neither torch nor pandas: the rules ask it, too, before anything is retrained.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from model.run_config import RunConfig
from model.run_tables import written_by
from model.training.state_files import StateFile, state_files
from study.planning.content import StudyData, record_of
from study.planning.study import Run, Study

Action = Literal["new", "go on", "again", "write", "evaluate", "done", "damaged"]
MEANINGS: dict[Action, str] = {
    "new": "trained for the first time",
    "go on": "training goes on from a saved state",
    "again": "what has finished is trained again",
    "write": "results come back from the saved state, without a step",
    "evaluate": "evaluated only",
    "done": "nothing",
    "damaged": "its train.json cannot be read",
}
TRAINED: tuple[Action, ...] = ("new", "go on", "again")  # those that take steps
DATA_CHANGED = "its data have changed"  # a reason
OUTPUTS = ("model.safetensors", "history.parquet", "train.json")
OF_TABLES = ("history.parquet", "train.json")  # what tables are made of, beside evaluations


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """One run: what would be done with it, and why."""

    run: Run
    action: Action
    reason: str = ""
    first_step: int = 0
    iterations: int
    gpus: int
    lost_hours: float = 0.0  # of finished training that is done again: GPU hours, or hours on a CPU

    @property
    def steps(self) -> int:
        """The steps that are to be trained."""
        return self.iterations - self.first_step if self.action in TRAINED else 0


def plan_runs(
    study: Study, data: StudyData, results: Path, runs: Iterable[Run] | None = None
) -> list[RunPlan]:
    """What would be done with the runs of a study, or with these, of which each is wanted."""
    study_dir = results / study.name
    if runs is not None:
        return [_plan(study, data, study_dir, run, wanted=OUTPUTS) for run in runs]
    # Of a finished study, snakemake misses nothing but what it needs for something else.
    if (study_dir / "tables/runs.parquet").exists():
        plans = [_plan(study, data, study_dir, run, wanted=()) for run in study.runs]
        if all(plan.action in ("done", "damaged") for plan in plans):
            return plans
    return [_plan(study, data, study_dir, run, wanted=OF_TABLES) for run in study.runs]


def _plan(
    study: Study, data: StudyData, study_dir: Path, run: Run, *, wanted: Sequence[str]
) -> RunPlan:
    folder, config = study_dir / "runs" / run.name, study.run_config(run)
    train = config.train
    plan = RunPlan(run=run, action="new", iterations=train.iterations, gpus=train.gpus)
    content = data.content(run.dataset, run.variant, run.seed)
    record = record_of(folder)
    if record is None:
        state = _newest_state(folder, config, content)
        if state is None:
            return plan
        if state.is_end and state.step == train.iterations:
            return replace(plan, action="write", reason="train.json is missing")
        return replace(plan, action="go on", first_step=state.step, reason=f"at step {state.step}")
    try:
        return _of_trained(plan, folder, config, content, record, wanted=wanted)
    except (KeyError, TypeError, ValueError, AttributeError):
        return replace(plan, action="damaged", reason="train.json is damaged: delete it")


def _of_trained(
    plan: RunPlan,
    folder: Path,
    config: RunConfig,
    content: str | None,
    record: dict[str, Any],
    *,
    wanted: Sequence[str],
) -> RunPlan:
    """A run that has a result: of these settings and data, or of others."""
    reasons = _reasons(config, content, record)
    is_same = not reasons
    if is_same:
        evaluation = _evaluation(plan, folder, wanted=wanted)
        if evaluation.action == "evaluate":
            wanted = OUTPUTS
        if not (reason := _reason_to_write(folder, config, wanted=wanted)):
            return evaluation
        reasons = [reason]
    plan = replace(plan, reason="; ".join(reasons))
    state = _newest_state(folder, config, content or record["dataset_sha256"])
    step = state.step if state else 0
    is_diverged = is_same and record["status"] == "diverged" and step == record["step"]
    if state and state.is_end and (step == plan.iterations or is_diverged):
        return replace(plan, action="write")
    # The same trajectory may differ in its length.
    settings, done = record["settings"], record["step"]
    is_same_trajectory = (
        content in (None, record["dataset_sha256"])
        and settings["definitions"] == config.definitions
        and not config.differences(settings)
    )
    if is_same_trajectory and step >= done:
        return replace(plan, action="go on", first_step=step)
    hours = record["gpu_hours"] or record["wall_seconds"] / 3600
    kept = step / done if is_same_trajectory and done else 0.0
    return replace(plan, action="again", first_step=step, lost_hours=hours * (1 - kept))


def _reasons(config: RunConfig, content: str | None, record: dict[str, Any]) -> list[str]:
    """By what a result is not that of the planned run; nothing if it is."""
    found = []
    if record["config_hash"] != config.hash:  # not so if only a default of the code has changed
        settings = record["settings"]
        found = config.differences(settings)
        was, now = settings["train"]["iterations"], config.train.iterations
        if was != now:
            found.append(f"train.iterations was {was} and is {now}")
        if settings["definitions"] != config.definitions:
            versions = f"was {settings['definitions']} and is {config.definitions}"
            found.append(f"the version of the definitions {versions} (model/definitions.py)")
        found = found or ["its settings have changed"]
    if content is not None and content != record["dataset_sha256"]:
        found.append(DATA_CHANGED)
    return found


def _reason_to_write(folder: Path, config: RunConfig, *, wanted: Sequence[str]) -> str:
    """Why a training that has ended with the right result is started once more; "" if it is not."""
    times = {name: _modified(folder / name) for name in OUTPUTS}
    if missing := [name for name in wanted if times[name] is None]:
        return f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
    try:
        text = (folder / "config.yaml").read_text()
    except (OSError, UnicodeDecodeError):
        return "config.yaml is missing"
    if text != config.dump():
        return "a setting has changed that changes no result"
    configured = _modified(folder / "config.yaml") or 0.0
    oldest = min((time for time in times.values() if time is not None), default=configured)
    return "config.yaml is newer" if configured > oldest else ""


def _evaluation(plan: RunPlan, folder: Path, *, wanted: Sequence[str]) -> RunPlan:
    """Whether a trained run is evaluated, and probed where it is the first seed."""
    names = [f"{name}.parquet" for name in written_by("evaluate")]
    if plan.run.seed == 0:
        names += [f"{name}.parquet" for name in written_by("probe")]
        names += ["samples.npy", "learnt.npy", "samples.png"]
    times = {name: _modified(folder / name) for name in names}
    missing = [name for name, time in times.items() if time is None]
    if missing and wanted:
        return replace(plan, action="evaluate", reason=f"{missing[0]} is missing")
    trained = _modified(folder / "model.safetensors") or 0.0
    if any(time < trained for time in times.values() if time is not None):
        return replace(plan, action="evaluate", reason="older than its weights")
    return replace(plan, action="done")


def _newest_state(folder: Path, config: RunConfig, content: str | None) -> StateFile | None:
    """The state from which a training of this config would go on, as Checkpoints.load finds it."""
    if content is None or content.startswith("of "):  # no digest of arrays yet
        return None
    states = state_files(folder / "state" / config.identity(content))
    length = config.train.iterations
    return next((file for file in states if file.step < length + file.is_end), None)


def _modified(path: Path) -> float | None:
    with contextlib.suppress(OSError):
        return os.stat(path).st_mtime
    return None
