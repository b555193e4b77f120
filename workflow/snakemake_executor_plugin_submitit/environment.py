"""Environment variables that change in silence what SLURM's commands are asked for.

sbatch puts its SBATCH_* above the options in a script, srun in a job reads SLURM_*, and squeue
shows only what SQUEUE_* lets it. Some sites set them for everybody, some users for themselves.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator

# Not named after the option that they stand for, or in conflict with it.
VARIABLES = {
    "time": ("TIMELIMIT",),
    "mem": ("MEM_PER_NODE", "MEM_PER_CPU", "MEM_PER_GPU"),
    "gres": ("GRES", "GPUS", "GPUS_PER_NODE", "GPUS_PER_SOCKET", "GPUS_PER_TASK"),
    "requeue": ("REQUEUE", "NO_REQUEUE"),
    "no-requeue": ("REQUEUE", "NO_REQUEUE"),
    "switches": ("REQ_SWITCH",),
}
# Each job is submitted without these: its output is one file, its environment the head's.
NEVER = {
    *("SBATCH_ARRAY_INX", "SBATCH_ERROR", "SBATCH_INPUT", "SBATCH_OUTPUT", "SBATCH_WAIT"),
    *("SBATCH_EXPORT", "SLURM_EXPORT_ENV", "SRUN_EXPORT_ENV"),
}
# What srun in the job would take from the head's environment, against what the job was given.
OF_STEPS = {
    *("CONSTRAINT", "CONTAINER", "CORE_SPEC", "CPUS_PER_GPU", "CPUS_PER_TASK", "DEPENDENCY"),
    *("EXACT", "EXCLUSIVE", "GPUS", "GPUS_PER_NODE", "GPUS_PER_SOCKET", "GPUS_PER_TASK", "GRES"),
    *("HOSTFILE", "IMMEDIATE", "JOB_NAME", "JOB_NUM_NODES", "JOB_NODELIST", "LABELIO"),
    *("MEM_PER_CPU", "MEM_PER_GPU", "MEM_PER_NODE", "NNODES", "NODELIST", "NPROCS", "NTASKS"),
    *("NTASKS_PER_GPU", "NTASKS_PER_NODE", "NTASKS_PER_TRES", "OPEN_MODE", "OVERCOMMIT"),
    *("PARTITION", "QOS", "REMOTE_CWD", "RESERVATION", "SIGNAL", "STDERRMODE", "STDINMODE"),
    *("STDOUTMODE", "STEP_GRES", "TEST_EXEC", "THREAD_SPEC", "TIMELIMIT", "WAIT", "WORKING_DIR"),
}
FILTERS = ("SQUEUE_", "SACCT_", "SCANCEL_", "SCONTROL_")
OF_FEDERATIONS = ("_FEDERATION", "_LOCAL")


def overriding(script: str, names: Iterable[str]) -> set[str]:
    """Those of the variables that would change what a script asks for with `#SBATCH --option`."""
    options = re.findall(r"^#SBATCH --([\w-]+)", script, re.MULTILINE)
    of_options = {
        f"SBATCH_{name}"
        for option in options
        for name in VARIABLES.get(option, (option.upper().replace("-", "_"),))
    }
    of_steps = {f"{prefix}_{name}" for prefix in ("SLURM", "SRUN") for name in OF_STEPS}
    return (of_options | of_steps | NEVER) & set(names)


def additions(script: str) -> str:
    """What sbatch is asked for beside what the script says: `SBATCH_RESERVATION=x, ...`."""
    names = {name for name in os.environ if name.startswith("SBATCH_")}
    return ", ".join(
        f"{name}={os.environ[name]}" for name in sorted(names - overriding(script, names))
    )


def partition() -> str | None:
    """Where jobs go that ask for no partition, if not to the cluster's default one."""
    return os.environ.get("SBATCH_PARTITION")


@contextlib.contextmanager
def as_asked(script: str) -> Iterator[None]:
    """Have sbatch do as the script says; jobs submitted meanwhile inherit this environment."""
    hidden = {name: os.environ.pop(name) for name in overriding(script, os.environ)}
    try:
        yield
    finally:
        os.environ.update(hidden)


def without_filters() -> dict[str, str]:
    """The environment for queries and cancellations: none of this user's jobs is hidden."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(FILTERS) or name.endswith(OF_FEDERATIONS)
    }
