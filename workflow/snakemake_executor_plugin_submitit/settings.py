"""What a user can set: `--submitit-partition gpu`, or `submitit-partition: gpu` in a profile."""

from dataclasses import dataclass, field

from snakemake_interface_executor_plugins.settings import ExecutorSettingsBase


@dataclass
class ExecutorSettings(ExecutorSettingsBase):  # type: ignore[misc]
    """The settings of the executor; a rule's own resources win over the site's values."""

    cluster: str = field(
        default="slurm",
        metadata={
            "help": "Where jobs run: slurm, local (processes here), debug (one by one).",
            "choices": ["slurm", "local", "debug"],
        },
    )
    partition: str | None = field(
        default=None,
        metadata={"help": "Partition of jobs without slurm_partition.", "type": str},
    )
    account: str | None = field(
        default=None,
        metadata={"help": "Account of jobs without slurm_account.", "type": str},
    )
    qos: str | None = field(
        default=None,
        metadata={"help": "Quality of service of jobs without slurm_qos.", "type": str},
    )
    extra: str | None = field(
        default=None,
        metadata={
            "help": "Further sbatch options of every job, before its slurm_extra: --reservation=x",
            "type": str,
        },
    )
    setup: str | None = field(
        default=None,
        metadata={
            "help": "Shell lines before every job without slurm_setup: module load cuda",
            "type": str,
        },
    )
    memory_overhead: int = field(
        default=300,
        metadata={"help": "MB added to each job's mem_mb for Snakemake and submitit on the node."},
    )
    signal_delay: int = field(
        default=120,
        metadata={
            "help": "Seconds before the time limit at which a job is told to save its state; "
            "at most a third of the limit."
        },
    )
    requeue_limit: int = field(
        default=1000,
        metadata={"help": "How often one job may be requeued before it counts as failed."},
    )
    array_parallelism: int = field(
        default=0,
        metadata={"help": "Jobs of one array that may run at a time; 0 means all of them."},
    )
    test_only: bool = field(
        default=False,
        metadata={
            "help": "Ask SLURM about each distinct request (sbatch --test-only); submit nothing."
        },
    )
