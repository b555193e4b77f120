"""Before anything is submitted: is SLURM there, and would it accept the jobs?"""

import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import ApiError
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_submitit import environment, slurm
from snakemake_executor_plugin_submitit.resources import (
    DefaultTime,
    ResourceError,
    asked_for,
    evaluated_resources,
    submission_parameters,
)
from snakemake_executor_plugin_submitit.sbatch_errors import NO_SUCH_NODES
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.submission import Answer, ask

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
    warn: Callable[[str], None],
) -> None:
    """Raise ApiError, with a line for each mistake in the resources of the jobs to come.

    What SLURM cannot start because of a maintenance is none: it is warned of. Ends the command if
    it was only to ask.
    """
    mistakes: set[str] = set()
    requests: dict[str, Counter[str]] = {}  # rules and their jobs, by their parameters
    for job in jobs:
        try:
            if job.is_local:
                evaluated_resources(job)
            else:
                parameters = submission_parameters(job, settings, default_time)
                key = json.dumps(parameters, sort_keys=True)
                requests.setdefault(key, Counter())[job.name] += 1
        except ResourceError as error:
            mistakes.add(str(error))
    # Sorted, since Snakemake's jobs come in another order each time.
    problems = sorted(mistakes)
    requests = dict(sorted(requests.items(), key=lambda request: (sorted(request[1]), request[0])))
    if settings.cluster == "slurm":
        answers = {text: ask(folder, json.loads(text)) for text in requests}
        if settings.test_only and not problems:
            print("\n".join(_listing(requests, answers)), flush=True)
        problems += _refusals(requests, answers, warn)
    elif settings.test_only:
        problems.append("--submitit-test-only asks SLURM, which --submitit-cluster leaves out")
    if problems:
        raise ApiError("\n".join(problems))
    if settings.test_only:
        sys.exit()


def _listing(
    requests: Mapping[str, "Counter[str]"], answers: Mapping[str, Answer]
) -> Iterator[str]:
    """A line for each distinct request: who makes it, and what SLURM says."""
    if not requests:
        yield "no job would be submitted"
    elif not any(answer.is_given for answer in answers.values()):
        yield f"SLURM does not answer: {next(iter(answers.values())).text}"
        return
    for text, names in requests.items():
        jobs = ", ".join(f"{number} x {name}" for name, number in sorted(names.items()))
        word = "refused: " if answers[text].is_refusal else ""
        yield f"{jobs} ({asked_for(json.loads(text))}): {word}{answers[text].text}"


def _refusals(
    requests: Mapping[str, "Counter[str]"],
    answers: Mapping[str, Answer],
    warn: Callable[[str], None],
) -> list[str]:
    """What SLURM would refuse: one line for each of its answers, with who asked for what."""
    asked: dict[str, list[str]] = {}  # by the answer
    waiting: dict[str, list[str]] = {}  # by the nodes that are out of service
    for text, names in requests.items():
        parameters = json.loads(text)
        if answers[text].is_refusal:
            answer = answers[text].text
            request = f"rule {', '.join(sorted(names))} ({asked_for(parameters)})"
            if nodes := _in_maintenance(answer, parameters):
                waiting.setdefault(nodes, []).append(request)
            else:
                asked.setdefault(answer, []).append(request)
    for nodes, who in waiting.items():
        warn(
            f"submitit: no node can take {'; '.join(who)} at present, and {nodes} out of "
            "service: such jobs are submitted nevertheless, and wait if they fit there"
        )
    return [f"SLURM refuses {'; '.join(who)}: {answer}" for answer, who in asked.items()]


def _in_maintenance(answer: str, parameters: Mapping[str, Any]) -> str | None:
    """The nodes that the answer may be about, `n1 is` or `n1 and 5 more are`, if they are away.

    `sbatch --test-only` looks only at nodes that are in service, and sbatch itself at all.
    """
    if not NO_SUCH_NODES.search(answer):
        return None
    partition = parameters.get("slurm_partition", environment.partition())
    nodes = slurm.out_of_service(partition)
    if len(nodes) > 1:
        return f"{nodes[0]} and {len(nodes) - 1} more are"
    return f"{nodes[0]} is" if nodes else None
