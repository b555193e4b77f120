"""Finished work is not trained again unless that is meant."""

from collections.abc import Iterable
from pathlib import Path

from study.plan import plan_runs
from study.planning.content import StudyData
from study.planning.study import Run, Study


def retraining(study: Study, data: StudyData, results: Path, runs: Iterable[Run]) -> str | None:
    """A line if the trainings to come do more finished work again than the study's limit allows."""
    plans = [plan for plan in plan_runs(study, data, results, runs) if plan.lost_hours]
    hours = sum(plan.lost_hours for plan in plans)
    if study.file.retrain or hours <= study.file.retrain_limit_hours:
        return None
    first = max(plans, key=lambda plan: plan.lost_hours)
    others = f" and {len(plans) - 1} more" if len(plans) > 1 else ""
    return (
        f"{hours:,.3g} hours of finished training would be done again: {first.run.name} "
        f"({first.reason}){others}; `study plan {study.name}` has all reasons; if it is meant, "
        "type the same command with --config retrain=yes (beside study=... and the like)"
    )
