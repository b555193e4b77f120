"""Rounds of kills, one after another: `make soak ROUNDS=100`, `make soak ROUNDS=30 CLUSTER=yes`.

On this machine by Snakemake itself and through submitit in turn, or on a real SLURM cluster.  `make
soak ROUNDS=1 SEED=7` plays a round again.  The exit code is 1 if there was a fault.
"""

import argparse
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from cluster import SlurmCluster, missing_programs, new_directory
from configuration import ClusterOptions
from faulted_study import LOCAL, SLURM, SUBMITIT_LOCAL, Executor
from rounds import Rounds


def executor_of(seed: int, is_cluster: bool) -> Executor:
    """Locally both in turn, so that a seed names its executor, too."""
    if is_cluster:
        return SLURM
    return LOCAL if seed % 2 == 0 else SUBMITIT_LOCAL


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first round; then counted up")
    parser.add_argument("--cluster", action="store_true", help="on a real SLURM cluster")
    options = parser.parse_args()
    if options.cluster and (missing := missing_programs()):
        sys.exit(f"soak: no {', '.join(missing)}: run tests/slurm/packages.sh as root")
    # So that nothing of a round outlives this process, whoever ends it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    played = []
    with ExitStack() as stack:
        cluster = None
        if options.cluster:
            # A training of two ranks asks for 16 GB and a little more.
            cluster_options = ClusterOptions(memory_per_node_mb=32_000)
            cluster = stack.enter_context(SlurmCluster(new_directory(), cluster_options))
        rounds = Rounds(directory, cluster)
        for seed in range(options.seed, options.seed + options.rounds):
            result = rounds.play(seed, executor_of(seed, options.cluster))
            played.append(result)
            print(result, *(f"    {fault}" for fault in result.faults), sep="\n", flush=True)
    failed = [result for result in played if result.faults]
    print(
        f"{len(played)} rounds, {sum(len(result.kills) for result in played)} kills, "
        f"{sum(result.commands for result in played)} commands, "
        f"{sum(result.seconds for result in played) / 60:.0f} minutes; {len(failed)} with faults"
    )
    if failed:
        print(f"their folders: {directory}/EXECUTOR-SEED")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
