"""Every use of Snakemake's and submitit's private API: look here when one of them is upgraded.

The rest of the plugin uses only their public interfaces: `snakemake_interface_*`, `submitit` and
`submitit.helpers`. What is listed here exists from the version named up to Snakemake 9.27.1 and
submitit 1.5.4; `tests/executor/test_internals.py` checks the versions that are installed.

| of Snakemake | is used to | since |
|---|---|---|
| `DAG.needrun_jobs`, `DAG.jobs` | check resources, and find what ended without a head | 9.0 |
| `DAG.reason(job).forced` | tell whether the user wants outputs made again | 9.0 |
| `Job.non_derived_params` | notice that a job's parameters have changed | 9.0 |
| `Job.wildcards` | name a job | 9.0 |
| `Workflow.persistence.finished` | record a job that ended without a head | 9.0 |
| `Workflow.async_run` | call that | 9.15 |
| `Workflow.scheduler._user_kill` | see that Snakemake got SIGTERM: it waits for its jobs | 9.0 |
| `Workflow.output_settings.show_failed_logs`, `.verbose` | show a log only once; say all | 9.0 |
| `RealExecutor.get_job_args(..., cores=)` | leave out what `RemoteExecutor` adds | 9.0 |
| `jobs.Job.prepare`, `.postprocess`, `.cleanup` | stop before a file changes | 9.0 |
| `io._IOFile.remove` | likewise | 9.0 |
| that it imports every plugin, always | do so on the node, where no plugin is asked for | 9.0 |
| `--target-jobs` in a command line | tell the Snakemake on the node from what it runs | 9.0 |
| `Resource '...'` in an error | find the one line that says what is wrong | 9.0 |

| of submitit | is used to | since |
|---|---|---|
| `core.utils.JobPaths` | find a job's files in the folder | 1.5.0 |
| `.save_tmp` | remove a file that a job was writing when it was killed | 1.5.0 |
| `.submission_file_*` | remove what a submission leaves behind | 1.5.3 |
| `.submission_file_*`, in the job's folder | know our jobs in the queue by their scripts | 1.5.3 |
| `_executor._make_submission_file_text` | ask SLURM about a job without submitting it | 1.5.0 |
| its handler of SIGUSR2 | have `checkpoint()` called and the job requeued | 1.5.0 |
| `submitit.local`, in a command line | recognise a job's process on this machine | 1.5.0 |
| its signal 30 s before the limit | know when such a process is told to save | 1.5.0 |
"""

import functools
import re
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from submitit import AutoExecutor
from submitit.core.utils import JobPaths as JobPaths

# --- Snakemake ------------------------------------------------------------------------------------


def needed_jobs(dag: Any) -> list[JobExecutorInterface]:
    """The jobs that Snakemake is going to run; members of a group one by one."""
    return list(dag.needrun_jobs())


def all_jobs(dag: Any) -> list[JobExecutorInterface]:
    """All jobs of the workflow."""
    return list(dag.jobs)


def is_forced(dag: Any, job: JobExecutorInterface) -> bool:
    """Whether the user asked for this job to run (`--force` and the like) in any case."""
    return bool(dag.reason(job).forced)


def parameters(job: JobExecutorInterface) -> list[Any]:
    """The `params:` of a job, without those that are computed from its inputs."""
    return list(job.non_derived_params)


def wildcards(job: JobExecutorInterface) -> list[str]:
    """The values of a job's wildcards, in the order of its outputs' pattern."""
    return [str(value) for value in job.wildcards]


def record_as_finished(workflow: Any, job: JobExecutorInterface) -> None:
    """Have Snakemake record what a job ran with, as after a job that it has waited for."""
    workflow.async_run(workflow.persistence.finished(job))


def is_told_to_stop(workflow: Any) -> bool:
    """Whether Snakemake got SIGTERM: it starts nothing more, and waits for what it has started."""
    return getattr(workflow.scheduler, "_user_kill", None) == "graceful"


def shows_failed_logs(workflow: Any) -> bool:
    """Whether Snakemake prints the log of a rule that failed (`--show-failed-logs`)."""
    return bool(workflow.output_settings.show_failed_logs)


def is_verbose(workflow: Any) -> bool:
    """Whether Snakemake prints all it can (`--verbose`)."""
    return bool(workflow.output_settings.verbose)


def node_arguments(executor: RealExecutor, job: JobExecutorInterface) -> str:
    """The arguments of the Snakemake on the node, as any executor would give them.

    With the job's threads as its cores, not the node's. `RemoteExecutor` would also have it wait
    for the head's own temporary folder: that disappears with the head, and the job would fail when
    it is requeued.
    """
    return str(RealExecutor.get_job_args(executor, job, cores=job.threads))


def is_snakemake_of_job(command_line: list[str]) -> bool:
    """Whether a process on the node is the Snakemake that runs the job, or its shell."""
    return any("--target-jobs" in argument for argument in command_line)


def before_outputs_change(check: Callable[[], None]) -> None:
    """Have this Snakemake call `check` before it creates, touches or deletes a job's files."""
    if "snakemake.jobs" not in sys.modules:  # not a Snakemake, but something that one has started
        return
    job: Any = sys.modules["snakemake.jobs"].Job
    file: Any = sys.modules["snakemake.io"]._IOFile
    for owner, name in ((job, "prepare"), (job, "postprocess"), (job, "cleanup"), (file, "remove")):
        setattr(owner, name, _after(check, getattr(owner, name)))


def _after(check: Callable[[], None], method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(*arguments: Any, **options: Any) -> Any:  # of a coroutine, if the method is one
        check()
        return method(*arguments, **options)

    return checked


def resource_error(error: Exception) -> str:
    """The line that says what is wrong with a resource, without the context around it."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line.startswith("Resource ")), " ".join(lines))


# --- submitit -------------------------------------------------------------------------------------

SCRIPT = re.compile(r"([^/]*)/\.submission_file_[^/]*\.sh$")  # in the folder of its submission
LOCAL_CONTROLLER = "submitit.local"  # in the command line of a job's process on this machine
LOCAL_SIGNAL_DELAY_S = 30  # before the time limit of such a process


def job_paths(folder: Path, job_id: str) -> JobPaths:
    """Where submitit keeps the files of a job."""
    return JobPaths(folder, job_id=job_id)


def torn_pickles(paths: JobPaths) -> list[Path]:
    """Files that a job was writing when it was killed: submitit refuses to overwrite them."""
    return [
        pickle.with_name(pickle.name + ".save_tmp")
        for pickle in (paths.submitted_pickle, paths.result_pickle)
    ]


def submission_leftovers(folder: Path) -> Iterable[Path]:
    """The links to the script in the folder of a submission, which nothing needs."""
    yield from folder.glob(".submission_file_*")


def submission_of(command: str) -> str:
    """The name of the folder that a job was submitted from, by its script; empty if not by us."""
    found = SCRIPT.search(command)
    return found[1] if found else ""


def submission_script(executor: AutoExecutor, command: str) -> str:
    """The script that submitit would hand to sbatch."""
    inner: Any = executor._executor
    return str(inner._make_submission_file_text(command, "test"))


def requeue_handler() -> Callable[[int, FrameType | None], Any]:
    """Submitit's handler of SIGUSR2, in a job that has not set its own yet.

    It calls `checkpoint()` of what the job runs, requeues the job and exits, or raises.
    """
    handler: Any = signal.getsignal(signal.SIGUSR2)
    return handler
