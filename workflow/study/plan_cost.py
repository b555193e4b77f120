"""What the rest of a study takes: hours, jobs and disk space."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from pathlib import Path

from model.config import ModelConfig
from study.plan import Action, RunPlan
from study.plan_pace import Pace, Paces
from study.planning.study import Study

# Of a state: weights, averaged weights, two moments of AdamW; five numbers of each step.
STATE_BYTES_PER_PARAMETER, STATE_BYTES_PER_STEP = 16, 40
STATE_BYTES_BESIDE = 300_000  # names and shapes
WEIGHT_BYTES_PER_PARAMETER = 4
KEPT_STATES = 2


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """All runs of a variant on a dataset."""

    dataset: str
    variant: str
    parameters: int
    stochastic_depth: int
    iterations: int
    pace: Pace | None
    runs: Sequence[RunPlan]

    @property
    def actions(self) -> "Counter[Action]":
        """What is done with how many runs."""
        return Counter(run.action for run in self.runs)

    @property
    def seconds(self) -> list[float] | None:
        """The training time of each run that takes steps; None if it is not known."""
        steps = [run.steps for run in self.runs if run.steps]
        if not steps:
            return []
        return None if self.pace is None else [n * self.pace.seconds_per_iteration for n in steps]

    @property
    def disk_bytes(self) -> int:
        """What states and weights of all runs take in the end."""
        of_state = STATE_BYTES_PER_PARAMETER * self.parameters + STATE_BYTES_BESIDE
        of_state += STATE_BYTES_PER_STEP * self.iterations
        of_run = KEPT_STATES * of_state + WEIGHT_BYTES_PER_PARAMETER * self.parameters
        return of_run * len(self.runs)


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """A whole study."""

    study: str
    models: Sequence[ModelPlan]
    seconds_per_job: float | None  # the time limit of a training's job; None: there is none
    bytes_there: int
    bytes_free: int
    cores: int  # of this machine
    tried: Sequence[str] = ()  # models whose speed was measured for this plan only
    requests: Sequence[str] = ()  # of the jobs to come, with what the cluster says to each

    @property
    def runs(self) -> Iterable[RunPlan]:
        """All runs."""
        return (run for model in self.models for run in model.runs)

    @cached_property
    def actions(self) -> "Counter[Action]":
        """What is done with how many runs."""
        return sum((model.actions for model in self.models), Counter[Action]())

    @cached_property
    def seconds(self) -> list[float]:
        """The training time of each run for which it is known."""
        return [s for model in self.models for s in model.seconds or ()]

    @property
    def seconds_here(self) -> float | None:
        """The training time with all cores of this machine, each run as soon as some are free.

        None if a speed was measured on a GPU.
        """
        free_at = [0.0] * self.cores
        for model in self.models:
            if model.seconds and model.pace and model.pace.gpus:
                return None
            trained = [run for run in model.runs if run.steps]
            for run, seconds in zip(trained, model.seconds or (), strict=False):
                needed = min(run.gpus, self.cores)  # a process for each, on one core
                end = sorted(free_at)[needed - 1] + seconds
                free_at = [*sorted(free_at)[needed:], *[end] * needed]
        return max(free_at)

    @property
    def unknown(self) -> list[ModelPlan]:
        """The models of which nobody knows how fast they are."""
        return [model for model in self.models if model.seconds is None]

    @property
    def gpu_hours(self) -> float:
        """Of the trainings whose time is known, on the devices where it was measured."""
        return sum(
            sum(model.seconds or ()) * model.pace.gpus / 3600 for model in self.models if model.pace
        )

    @property
    def devices(self) -> list[str]:
        """Where the times that are known were measured."""
        used = (model.pace.device for model in self.models if model.pace and model.seconds)
        return sorted(set(used))

    @property
    def lost_hours(self) -> float:
        """Hours of finished training that is done again: GPU hours, or hours on a CPU."""
        return sum(run.lost_hours for run in self.runs)

    @property
    def jobs(self) -> dict[str, int]:
        """Jobs of the rules that take time."""
        trained = [run for run in self.runs if run.action not in ("done", "evaluate", "damaged")]
        evaluated = [*trained, *(run for run in self.runs if run.action == "evaluate")]
        first = sum(run.run.seed == 0 for run in evaluated)
        jobs = {"train": len(trained), "measure": first, "evaluate": len(evaluated) - first}
        return {rule: number for rule, number in jobs.items() if number}

    @property
    def requeues(self) -> int | None:
        """How often trainings go on in another job, as far as their times are known."""
        if self.seconds_per_job is None:
            return None
        return sum(ceil(s / self.seconds_per_job) - 1 for s in self.seconds)

    @property
    def disk_bytes(self) -> int:
        """What states and weights of all runs take in the end."""
        return sum(model.disk_bytes for model in self.models)


def cost(
    study: Study,
    runs: Sequence[RunPlan],
    paces: Paces,
    results: Path,
    count_parameters: Callable[[ModelConfig], int],
    seconds_per_job: float | None,
) -> StudyPlan:
    """What planned runs take; each distinct model is counted once."""
    by_pair: dict[tuple[str, str], list[RunPlan]] = {}
    for plan in runs:
        by_pair.setdefault((plan.run.dataset, plan.run.variant), []).append(plan)
    counted: dict[ModelConfig, int] = {}
    models = []
    for (dataset, variant), plans in by_pair.items():
        config = study.run_config(plans[0].run)
        if config.model not in counted:
            counted[config.model] = count_parameters(config.model)
        models.append(
            ModelPlan(
                dataset=dataset,
                variant=variant,
                parameters=counted[config.model],
                stochastic_depth=config.model.stochastic_depth,
                iterations=config.train.iterations,
                pace=paces.of(config),
                runs=plans,
            )
        )
    stat = os.statvfs(results if results.exists() else results.absolute().parent)
    return StudyPlan(
        study=study.name,
        models=models,
        seconds_per_job=seconds_per_job,
        bytes_there=bytes_under(results / study.name / "runs"),
        bytes_free=stat.f_bavail * stat.f_frsize,
        cores=_cores(),
    )


def _cores() -> int:
    """How many cores this process may use; macOS only knows how many there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def bytes_under(folder: Path) -> int:
    """The size of all files in a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:  # it has just gone
                continue
    return total
