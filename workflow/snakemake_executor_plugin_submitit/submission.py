"""Handing jobs to submitit, those of equal parameters as one array."""

import contextlib
import math
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from submitit import AutoExecutor, Job

from snakemake_executor_plugin_submitit import environment, internals, slurm
from snakemake_executor_plugin_submitit.notices import without_stderr
from snakemake_executor_plugin_submitit.runner import JobRunner, Outcome
from snakemake_executor_plugin_submitit.sbatch_errors import Refused, is_answer_lost, meaning

NO_LIMIT = 1_000_000  # submitit counts requeues too, but JobRunner has the user's limit
TEST_TIMEOUT_S = 60
TEST_JOB = re.compile(r"^sbatch: Job \d+ ")  # whose number nobody will have

# Otherwise a job that is preempted as it starts dies of SIGUSR2, for which it has no handler yet.
UNTIL_READY = """sh -c 'trap "" USR2; exec "$0" "$@"'"""


# A node that was cut off has an srun of the start before this one. When it comes back, that srun
# has its step ended, by a number that the step of this start would have, too.
NUMBER_OF_ANOTHER_STEP = (
    "[ $((${SLURM_RESTART_COUNT:-0} % 2)) -eq 0 ] ||"
    " timeout 60 srun --nodes=1 --ntasks=1 --overlap true < /dev/null || true"
)


def submit(
    folder: Path,
    cluster: str,
    name: str,
    parameters: dict[str, Any],
    runners: Sequence[JobRunner],
    array_parallelism: int,
) -> tuple[str, list["Job[Outcome]"]]:
    """Submit jobs of equal parameters at once; raises SubmissionError.

    Returns the name of the submission, too: a folder of its own within `folder`, which no other
    job will have, not even one that gets the same id from a cluster that was rebuilt.
    """
    submission = secrets.token_hex(8)
    own_folder = folder / submission
    surroundings: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    try:
        own_folder.mkdir(mode=0o700)
        executor = _executor(own_folder, cluster, name, parameters)
        executor.update_parameters(slurm_array_parallelism=array_parallelism or len(runners))
        if cluster == "slurm":
            surroundings = environment.as_asked(internals.submission_script(executor, "true"))
        with surroundings, without_stderr():
            jobs: list[Job[Outcome]] = executor.submit_array(runners)
    except Exception as error:  # whatever sbatch, the file system or submitit say
        shutil.rmtree(own_folder, ignore_errors=True)
        failure = meaning(str(error))
        if cluster == "slurm" and is_answer_lost(failure):
            failure.submission = submission
        raise failure from error
    for leftover in internals.submission_leftovers(own_folder):
        leftover.unlink()
    return submission, jobs


@dataclass(frozen=True)
class Answer:
    """What SLURM says to a job that it is shown but not given, in its own words."""

    text: str
    is_refusal: bool = False  # it would never run
    is_given: bool = True  # otherwise SLURM cannot say now, and this is why


def ask(folder: Path, parameters: dict[str, Any]) -> Answer:
    """Show SLURM a job, which it is not to run."""
    executor = _executor(folder, "slurm", "test", parameters)
    script = internals.submission_script(executor, "true")
    try:
        with environment.as_asked(script):
            answer = subprocess.run(
                ["sbatch", "--test-only"],
                input=script,
                capture_output=True,
                text=True,
                timeout=TEST_TIMEOUT_S,
                check=False,
            )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(str(error), is_given=False)
    if answer.returncode == 0:
        if limit := _beyond_partition(parameters):
            return Answer(limit, is_refusal=True)
        return Answer(TEST_JOB.sub("", answer.stderr.strip()))
    failure = meaning(answer.stderr)
    if not isinstance(failure, Refused):
        return Answer(str(failure), is_given=False)
    added = environment.additions(script)
    text = f"{failure} (with {added} from the environment)" if added else str(failure)
    return Answer(text, is_refusal=True)


def _beyond_partition(parameters: dict[str, Any]) -> str | None:
    """Why a job would wait for ever: sbatch takes it although its time limit is too long."""
    if "slurm_qos" in parameters or "SBATCH_QOS" in os.environ:  # it may lift that limit
        return None
    partition = parameters.get("slurm_partition", environment.partition())
    with contextlib.suppress(slurm.QueryError):
        limits = slurm.partition_time_limits(partition)
        longest = max(limits, default=math.inf)
        if parameters["timeout_min"] > longest:
            return f"the partition allows at most {longest:g} minutes"
    return None


def _executor(folder: Path, cluster: str, name: str, parameters: dict[str, Any]) -> AutoExecutor:
    executor = AutoExecutor(
        folder=folder,
        cluster=cluster,
        slurm_max_num_timeout=NO_LIMIT,
        slurm_python=f"{UNTIL_READY} {shlex.quote(sys.executable)}",
    )
    if cluster == "slurm":
        setup = [NUMBER_OF_ANOTHER_STEP, *parameters.get("slurm_setup", [])]
        parameters = {**parameters, "slurm_setup": setup}
    executor.update_parameters(name=name, stderr_to_stdout=True, **parameters)
    return executor
