"""Before anything is submitted: is SLURM there, and would it accept the jobs?"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from snakemake_interface_common.exceptions import ApiError
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.resources import (
    DefaultTime,
    ResourceError,
    asked_for,
    evaluated_resources,
    submission_parameters,
)
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.submission import refusal

# If Snakemake itself runs in a SLURM job, these describe the cluster; the others, that job.
KEPT_VARIABLES = {"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"}
JOB_PREFIXES = ("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "PMI", "CUDA_VISIBLE_")


def leave_outer_job() -> None:
    """Forget the SLURM job that Snakemake itself runs in: its variables would affect new jobs."""
    os.environ.pop("SUBMITIT_PREEMPT_SIGNAL", None)
    if "SLURM_JOB_ID" in os.environ:
        for name in set(os.environ) - KEPT_VARIABLES:
            if name.startswith(JOB_PREFIXES):
                del os.environ[name]


def check_slurm() -> None:
    """Raise ApiError if SLURM's commands are not on PATH."""
    if command := slurm.missing_command():
        raise ApiError(
            f"{command} is not on PATH: run this on a login node of the cluster, "
            "or try it out with --submitit-cluster local"
        )


def check_jobs(
    jobs: Iterable[JobExecutorInterface],
    settings: ExecutorSettings,
    folder: Path,
    default_time: DefaultTime,
) -> None:
    """Raise ApiError, with a line for each mistake in the resources of the jobs to come."""
    problems: list[str] = []
    rules: dict[str, set[str]] = {}  # names, by their parameters
    for job in jobs:
        try:
            if job.is_local:
                evaluated_resources(job)
            else:
                parameters = submission_parameters(job, settings, default_time)
                rules.setdefault(json.dumps(parameters, sort_keys=True), set()).add(job.name)
        except ResourceError as error:
            problems.append(str(error))
    if settings.cluster == "slurm":
        problems += _refusals(rules, folder)
    if problems:
        raise ApiError("\n".join(dict.fromkeys(problems)))


def _refusals(rules: Mapping[str, set[str]], folder: Path) -> list[str]:
    """What SLURM would refuse: one line for each of its answers."""
    asked: dict[str, str] = {}  # by the answer
    names: dict[str, set[str]] = {}  # likewise
    for text, those in rules.items():
        parameters = json.loads(text)
        if answer := refusal(folder, parameters):
            asked.setdefault(answer, asked_for(parameters))
            names.setdefault(answer, set()).update(those)
    return [
        f"rule {', '.join(sorted(names[answer]))}: SLURM refuses {what}: {answer}"
        for answer, what in asked.items()
    ]
