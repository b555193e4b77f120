"""Runs a SLURM cluster until Ctrl-C, for trying the profile `slurm` by hand."""

import contextlib
import sys
import threading

from cluster import SlurmCluster, missing_programs, new_directory
from configuration import ClusterOptions

WELCOME = """\
A SLURM cluster is running: {options.num_nodes} nodes, each with {options.cpus_per_node} CPUs and \
{options.gpus_per_node} simulated GPUs.
Partitions: main, high, and low, whose jobs those of high preempt. In another terminal:

    export SLURM_CONF={directory}/slurm.conf
    source .venv/bin/activate
    snakemake --profile slurm --config study=tiny

Logs: {directory}/log. Ctrl-C stops the cluster and every job."""


def main() -> None:
    if missing := missing_programs():
        sys.exit(f"playground: no {', '.join(missing)}: run tests/slurm/packages.sh as root")
    cluster = SlurmCluster(new_directory(), ClusterOptions())
    with contextlib.suppress(KeyboardInterrupt), cluster:
        print(WELCOME.format(options=cluster.options, directory=cluster.directory), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
