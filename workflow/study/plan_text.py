"""`study plan` for reading, and as JSON."""

import dataclasses
from collections import defaultdict
from collections.abc import Iterable

from model.training.progress_file import duration
from model.wording import counted
from study.plan import MEANINGS, RunPlan
from study.plan_cost import ModelPlan, StudyPlan
from study.text_table import Column, Part, as_json, print_parts, size_text

MANY_REASONS = 20  # of more, the rest is counted
COLUMNS = (
    Column("model"),
    Column("parameters", is_number=True, leaves=1),
    Column("depth", is_number=True, leaves=3),
    Column("runs", is_number=True),
    Column("done", is_number=True),
    Column("to do"),
    Column("iterations", is_number=True, leaves=4),
    Column("s/iteration", is_number=True, leaves=2),
    Column("left", is_number=True),
)


def print_plan(plan: StudyPlan) -> None:
    """Print what would be done, why, and what it takes."""
    parts: list[Part] = [_summary(plan), "", (COLUMNS, [_row(model) for model in plan.models])]
    for lines in (_meanings(plan), _reasons(plan.runs), _costs(plan)):
        parts += ["", *lines] if lines else []
    print_parts(parts)


def json_of(plan: StudyPlan) -> str:
    """Everything that is known."""
    models = [
        {
            "dataset": model.dataset,
            "variant": model.variant,
            "parameters": model.parameters,
            "stochastic_depth": model.stochastic_depth,
            "pace": dataclasses.asdict(model.pace) if model.pace else None,
            "disk_bytes": model.disk_bytes,
            "runs": [_run(run, model) for run in model.runs],
        }
        for model in plan.models
    ]
    return as_json(
        {
            "study": plan.study,
            "actions": dict(plan.actions),
            "seconds_one_at_a_time": sum(plan.seconds),
            "seconds_with_all_cores": plan.seconds_here,
            "cores": plan.cores,
            "seconds_all_at_a_time": max(plan.seconds, default=0.0),
            "gpu_hours": plan.gpu_hours,
            "models_tried": list(plan.tried),
            "models_of_unknown_speed": [f"{m.dataset}/{m.variant}" for m in plan.unknown],
            "devices": plan.devices,
            "hours_trained_again": plan.lost_hours,
            "jobs": plan.jobs,
            "requeues": plan.requeues,
            "requests": list(plan.requests),
            "disk_bytes": plan.disk_bytes,
            "disk_bytes_there": plan.bytes_there,
            "disk_bytes_free": plan.bytes_free,
            "models": models,
        }
    )


def _run(run: RunPlan, model: ModelPlan) -> dict[str, object]:
    return {
        "run": run.run.name,
        "action": run.action,
        "reason": run.reason,
        "first_step": run.first_step,
        "iterations": run.iterations,
        "seconds": None if model.pace is None else run.steps * model.pace.seconds_per_iteration,
        "hours_trained_again": run.lost_hours,
    }


def _summary(plan: StudyPlan) -> str:
    counts = ", ".join(f"{number} {action}" for action, number in plan.actions.items())
    return (
        f"{plan.study}: {counted(sum(plan.actions.values()), 'run')} of "
        f"{counted(len(plan.models), 'model')}: {counts}"
    )


def _row(model: ModelPlan) -> list[str]:
    actions = model.actions
    to_do = ", ".join(
        f"{number} {action}" for action, number in actions.items() if action != "done"
    )
    seconds = model.seconds
    return [
        f"{model.dataset}/{model.variant}",
        f"{model.parameters:,}",
        str(model.stochastic_depth),
        str(len(model.runs)),
        str(actions["done"]),
        to_do,
        f"{model.iterations:,}",
        "" if model.pace is None else f"{model.pace.seconds_per_iteration:.3g}",
        "not known" if seconds is None else duration(sum(seconds)) if seconds else "",
    ]


def _meanings(plan: StudyPlan) -> list[str]:
    return [f"{a}: {meaning}" for a, meaning in MEANINGS.items() if plan.actions[a] and a != "done"]


def _reasons(runs: Iterable[RunPlan]) -> list[str]:
    """A line for each reason: how many runs it concerns, and which if they are few."""
    of_reasons: dict[tuple[str, str], list[str]] = defaultdict(list)
    for run in runs:
        if run.reason:
            of_reasons[run.action, run.reason].append(run.run.name)
    lines = ["Why:"] if of_reasons else []
    for (action, reason), names in of_reasons.items():
        which = ", ".join(names) if len(names) < 3 else f"{names[0]} and {len(names) - 1} more"
        lines.append(f"  {action}: {reason} ({which})")
    hidden = len(lines) - MANY_REASONS - 1
    return lines[: MANY_REASONS + 1] + ([f"  and {hidden} more: --json"] if hidden > 0 else [])


def _costs(plan: StudyPlan) -> list[str]:
    lines = []
    if plan.seconds:
        gpus = f", {plan.gpu_hours:,.1f} GPU hours" if plan.gpu_hours else ""
        devices = "; ".join(plan.devices)
        lines.append(
            f"Training: {duration(sum(plan.seconds))} one run after the other{gpus}; "
            f"{_here(plan)}{duration(max(plan.seconds))} all at a time (as measured on {devices})"
        )
    if plan.tried:
        lines.append(f"Tried just now, for this plan only: {', '.join(plan.tried)}")
    if plan.unknown:
        names = ", ".join(f"{model.dataset}/{model.variant}" for model in plan.unknown[:3])
        more = f" and {len(plan.unknown) - 3} more" if len(plan.unknown) > 3 else ""
        lines.append(
            f"Training of {names}{more}: not known; `study plan {plan.study} --probe` does a few "
            "iterations of each here"
        )
    if plan.lost_hours:
        lines.append(f"Of it, finished before and trained again: {plan.lost_hours:,.2f} hours")
    if plan.jobs:
        jobs = ", ".join(f"{number:,} {rule}" for rule, number in plan.jobs.items())
        lines.append(f"Jobs: {jobs}{_requeues(plan)}")
    if plan.requests:
        lines += ["SLURM, asked without submitting:", *(f"  {line}" for line in plan.requests)]
    lines.append(
        f"Disk: {size_text(plan.disk_bytes)} of states and weights in the end; "
        f"{size_text(plan.bytes_there)} are there, {size_text(plan.bytes_free)} are free"
    )
    if plan.disk_bytes - plan.bytes_there > plan.bytes_free:
        lines.append("The disk is too small for it.")
    return lines


def _here(plan: StudyPlan) -> str:
    """The time with the cores of this machine, where that lies between the two others."""
    if plan.seconds_here is None or not max(plan.seconds) < plan.seconds_here < sum(plan.seconds):
        return ""
    return f"{duration(plan.seconds_here)} with the {plan.cores} cores of this machine; "


def _requeues(plan: StudyPlan) -> str:
    if plan.requeues is None or plan.seconds_per_job is None or not plan.seconds:
        return ""
    of_known = " (as far as speeds are known)" if plan.unknown else ""
    limit = duration(plan.seconds_per_job)
    return (
        f"; on the cluster {counted(plan.requeues, 'requeue')}, a job working for {limit}{of_known}"
    )
