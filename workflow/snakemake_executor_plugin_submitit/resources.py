"""A job's resources, as parameters of submitit."""

import difflib
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from snakemake_interface_common.exceptions import ApiError
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_submitit import environment, internals
from snakemake_executor_plugin_submitit.settings import ExecutorSettings

# What the table in README.md has.
JOB_RESOURCES = {
    "runtime",
    "mem_mb",
    "gpu",
    "gpu_model",
    "nodes",
    "constraint",
    "exclude",
    "slurm_partition",
    "slurm_account",
    "slurm_qos",
    "slurm_extra",
    "slurm_setup",
    "slurm_requeue",
}
# What Snakemake adds to each job, or reads itself.
SNAKEMAKE_RESOURCES = {
    "_cores",
    "_nodes",
    "mem",
    "mem_mib",
    "disk",
    "disk_mb",
    "disk_mib",
    "tmpdir",
    "gpu_manufacturer",
}
# A line of a setup that fails ends the job, in words that report.py looks for. Not a line within a
# script that it sources, nor within an `if`, `&&` or `||`.
UNTIL_SETUP_IS_DONE = (
    "trap 'code=$?; [[ ${#BASH_SOURCE[@]} -gt 1 ]] || "
    '{ echo "setup failed, exit code $code: $BASH_COMMAND" >&2; exit "$code"; }\' ERR',
    "trap - ERR",
)
LOCAL_TIME_LIMIT_MIN = 60 * 24 * 365  # where nobody asks for one


class ResourceError(ApiError):
    """A job's resources are not what this executor can ask a cluster for."""


# The time limit in minutes of jobs that ask for none, by the partitions that they go to.
DefaultTime = Callable[[str | None], float | None]


def submission_parameters(
    job: JobExecutorInterface, settings: ExecutorSettings, default_time: DefaultTime
) -> dict[str, Any]:
    """The parameters of submitit's AutoExecutor for one job; raises ResourceError."""
    where = _where(job)
    resources = evaluated_resources(job)
    _check_names(resources, where)
    gpu = _whole_number(resources, "gpu", where, default=0)
    nodes = _whole_number(resources, "nodes", where, default=1)
    threads = max(1, job.threads)
    on_slurm = settings.cluster == "slurm"
    if "runtime" not in resources and on_slurm:
        partition = resources.get("slurm_partition", settings.partition) or environment.partition()
        if (minutes := default_time(partition)) is None:
            raise ResourceError(
                f"{where}: no time limit, and SLURM has none for its partition; "
                "set its resource runtime (minutes), or --default-resources"
            )
        resources["runtime"] = max(1, int(min(minutes, LOCAL_TIME_LIMIT_MIN)))
    parameters: dict[str, Any] = {
        "timeout_min": _whole_number(resources, "runtime", where, default=LOCAL_TIME_LIMIT_MIN),
        "cpus_per_task": threads,
        "nodes": nodes,
    }
    if not on_slurm:
        return parameters | {"gpus_per_node": gpu}
    if parameters["timeout_min"] == 0:
        raise ResourceError(f"{where}: runtime=0 is not a time limit")
    parameters["slurm_signal_delay_s"] = min(
        settings.signal_delay, 60 * parameters["timeout_min"] // 3
    )
    if memory := _whole_number(resources, "mem_mb", where, default=0):  # 0: the site's default
        parameters["slurm_mem"] = f"{memory + settings.memory_overhead}M"
    if gpu:
        model = resources.get("gpu_model")
        parameters["slurm_gres"] = f"gpu:{model}:{gpu}" if model else f"gpu:{gpu}"
    for resource, option, default in (
        ("slurm_partition", "partition", settings.partition),
        ("slurm_account", "account", settings.account),
        ("slurm_qos", "qos", settings.qos),
        ("constraint", "constraint", None),
        ("exclude", "exclude", None),
    ):
        if value := resources.get(resource, default):
            parameters[f"slurm_{option}"] = str(value)
    if setup := resources.get("slurm_setup", settings.setup):
        start, end = UNTIL_SETUP_IS_DONE
        parameters["slurm_setup"] = [start, *str(setup).splitlines(), end]
    extra = {
        **_options(settings.extra or "", "--submitit-extra"),
        **_options(str(resources.get("slurm_extra", "")), f"{where}: slurm_extra"),
    }
    if not may_requeue(job):
        extra.pop("requeue", None)
        extra["no-requeue"] = True
    if "no-requeue" not in extra:
        extra["requeue"] = True  # also where JobRequeue=0 is the site's default
    parameters["slurm_additional_parameters"] = extra
    # One process per job, whatever it is given: a rule starts its own ranks, with torchrun, or
    # with srun, to which --overlap lends what this step holds. Since SLURM 22.05 srun no longer
    # takes --cpus-per-task from the job.
    parameters["slurm_srun_args"] = [
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={threads}",
        "--overlap",
        "--export=ALL",  # also where `--export=NONE` left the job itself with little
    ]
    return parameters


def evaluated_resources(job: JobExecutorInterface) -> dict[str, Any]:
    """A job's resources, by name; raises ResourceError if Snakemake finds a value invalid."""
    try:
        return {name: value for name, value in job.resources.items() if value is not None}
    except Exception as error:  # of Snakemake
        raise ResourceError(f"{_where(job)}: {internals.resource_error(error)}") from error


def may_requeue(job: JobExecutorInterface) -> bool:
    """Whether a job that was interrupted may run again; raises ResourceError."""
    value = evaluated_resources(job).get("slurm_requeue", 1)
    if not isinstance(value, int):  # Snakemake adds those of a group up
        raise ResourceError(f"{_where(job)}: slurm_requeue={value!r} is neither 0 nor 1")
    return value != 0


def _where(job: JobExecutorInterface) -> str:
    return f"{'group' if job.is_group() else 'rule'} {job.name}"


def asked_for(parameters: Mapping[str, Any]) -> str:
    """What a job asks of SLURM, in SLURM's words, on one line."""
    names = ("partition", "account", "qos", "constraint", "exclude", "gres", "mem")
    asked = [
        f"{name}={parameters[f'slurm_{name}']}" for name in names if f"slurm_{name}" in parameters
    ]
    cpus, minutes = parameters["cpus_per_task"], parameters["timeout_min"]
    return ", ".join([*asked, f"nodes={parameters['nodes']}", f"cpus={cpus}", f"minutes={minutes}"])


def _check_names(resources: Mapping[str, Any], where: str) -> None:
    """Refuse what looks like a misspelt resource, which would have no effect."""
    for name in set(resources) - JOB_RESOURCES - SNAKEMAKE_RESOURCES:
        nearest = difflib.get_close_matches(name, JOB_RESOURCES, n=1, cutoff=0.8)
        if nearest or name.startswith("slurm_"):
            hint = (
                f"; did you mean {nearest[0]}?"
                if nearest
                else f": {', '.join(sorted(JOB_RESOURCES))}"
            )
            raise ResourceError(f"{where}: unknown resource {name}{hint}")


def _whole_number(
    resources: Mapping[str, Any], name: str, where: str, default: int | None = None
) -> int:
    value = resources.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ResourceError(f"{where}: {name}={value!r} is not a whole number")
    return value


def _options(text: str, where: str) -> dict[str, str | bool]:
    options: dict[str, str | bool] = {}
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ResourceError(f"{where}={text!r}: {error}") from error
    for word in words:
        match = re.fullmatch(r"--([a-z][a-z0-9-]*)(?:=(.*))?", word)
        if match is None:
            raise ResourceError(f"{where}: write {word!r} as --option=value")
        options[match[1]] = True if match[2] is None else match[2]
    return options
