"""A job's name: its rule and its wildcards' values, here and, when it has started, in SLURM."""

import os
import re
import subprocess
import threading
from collections.abc import Mapping

from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_submitit import environment, internals
from snakemake_executor_plugin_submitit.identity import members

LONGEST = 120
TIMEOUT_S = 60


def job_name(job: JobExecutorInterface) -> str:
    """`train/mnist/r5/0`; of a group, the wildcards that its members have in common."""
    words = [internals.wildcards(member) for member in members(job)]
    shared = [value for value in words[0] if all(value in others for others in words[1:])]
    name = "/".join([job.name, *shared])
    return re.sub(r"[^\w.+=:/@-]", "_", name)[:LONGEST]  # what squeue --name and a shell take as is


def take_name(name: str) -> threading.Thread | None:
    """Have SLURM show the job that this runs in under its name; the thread that does so, if any.

    A job is submitted under the name of its rule alone, since the tasks of an array have one name.
    """
    if not name or "SLURM_JOB_ID" not in os.environ or os.environ.get("SLURM_JOB_NAME") == name:
        return None
    # The job does not wait for a controller that is busy.
    thread = threading.Thread(target=_rename, args=(slurm_id(os.environ), name), daemon=True)
    thread.start()
    return thread


def slurm_id(variables: Mapping[str, str]) -> str:
    """The job's id as squeue shows it; of an array's last task, SLURM_JOB_ID is the array's."""
    array = variables.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{variables['SLURM_ARRAY_TASK_ID']}" if array else variables["SLURM_JOB_ID"]


def _rename(job_id: str, name: str) -> None:
    command = ["scontrol", "update", f"JobId={job_id}", f"JobName={name}"]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            env=environment.without_filters(),
        )
        error = answer.stderr.strip() if answer.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as failure:
        error = str(failure)
    if error:
        print(f"SLURM does not show this job as {name}: {' '.join(error.split())}", flush=True)
