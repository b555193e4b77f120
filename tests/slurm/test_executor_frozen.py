"""Nodes that hang for longer than SLURM waits, and then go on: two starts of one job at once.

`FROZEN_ROUNDS=10 pytest tests/slurm/test_executor_frozen.py` does it ten times, each time with the
nodes thawed at another moment.
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import QueuedJob, SlurmCluster, has_cgroups
from configuration import ClusterOptions
from head import Head, assert_result, events, starts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

StartCluster = Callable[[ClusterOptions], SlurmCluster]
ROUNDS = int(os.environ.get("FROZEN_ROUNDS", "1"))
# SLURM requeues jobs about 25 s after the freeze, and starts them about 6 s later.
SECONDS = 45  # of training
# How long the other job takes, which resumes nothing: if only slurmd is frozen, its first start is
# overtaken, or done between these moments, or before.
SLEEP_S = [45, 29, 15]
# A node is thawed so long after the new start of its training, or after the end of its head.
THAWED_AFTER_S = [2.0, 8.0, 20.0, 39.0, None]


@dataclass
class Site:
    """A head that has two nodes for itself, of which one is frozen: its slurmd, or all of it."""

    cluster: SlurmCluster
    head: Head
    with_jobs: bool
    thawed_after_s: float | None
    jobs: dict[str, QueuedJob]
    node: str = ""
    started_again: float | None = None
    is_thawed: bool = False
    made: list[int] | None = None  # times of the outputs, as the head ended

    @property
    def directory(self) -> Path:
        return self.head.directory

    def freeze(self) -> None:
        (self.node,) = {job.node for job in self.jobs.values()}
        self.cluster.freeze_node(self.node, with_jobs=self.with_jobs)

    def look(self) -> bool:
        """Thaw the node when it is time; whether everything has ended."""
        now = time.monotonic()
        if self.started_again is None and starts(self.directory) > 1:
            self.started_again = now
        if self.made is None and self.head.process.poll() is not None:
            self.made = self.times()
        since = now if self.started_again is None else self.started_again
        is_time = self.thawed_after_s is not None and now - since >= self.thawed_after_s
        if not self.is_thawed and (is_time or self.made is not None):
            self.cluster.thaw_node(self.node)
            self.is_thawed = True
        return self.is_thawed and self.made is not None

    def times(self) -> list[int]:
        """Of what no older start may touch.

        The small job is frozen with its last command before it: nobody can stop that in time.
        """
        names = ["out/train0.txt"] if self.with_jobs else ["out/train0.txt", "out/trivial0.txt"]
        return [(self.directory / name).stat().st_mtime_ns for name in names]


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_frozen_node_costs_no_output_and_no_job_runs_twice(
    start_cluster: StartCluster, tmp_path: Path, round_: int
) -> None:
    cluster = start_cluster(
        ClusterOptions(
            num_nodes=4,
            accounting=False,
            slurmd_timeout_s=5,
            # Without, an orphan of a start that SLURM kills may live on.
            proctrack="cgroup" if has_cgroups() else "linuxproc",
        )
    )
    sleep_s = SLEEP_S[round_ % len(SLEEP_S)]
    settings = ["--config", "trainings=1", f"seconds={SECONDS}", "trivial=1", f"sleep={sleep_s}"]
    sites = []
    with ExitStack() as heads:
        for number, with_jobs in enumerate((False, True)):
            nodes = ",".join(cluster.nodes[2 * number : 2 * number + 2])
            cluster.run("scontrol", "create", f"partitionname=p{number}", f"nodes={nodes}")
            partition = f"--submitit-partition=p{number}"
            directory = tmp_path / f"{number}"
            head = Head(directory, cluster.environment, partition, *settings)
            heads.enter_context(head)
            cluster.wait_until((directory / "state/0/state").exists, timeout=100)
            jobs = {i: job for i, job in cluster.jobs().items() if job.partition == f"p{number}"}
            assert len(jobs) == 2
            thawed_after_s = THAWED_AFTER_S[(round_ + number) % len(THAWED_AFTER_S)]
            sites.append(Site(cluster, head, with_jobs, thawed_after_s, jobs))
            sites[-1].freeze()
        seen: set[str] = set()
        deadline = time.monotonic() + 300
        while not all([site.look() for site in sites]):
            assert time.monotonic() < deadline
            seen |= set(cluster.jobs())
            time.sleep(1)
        for site in sites:
            site.head.succeed(timeout=1)
    cluster.wait_until(lambda: not cluster.jobs(), timeout=60)
    time.sleep(5)  # what was thawed would do its damage in this time
    assert seen <= {job for site in sites for job in site.jobs}
    for site in sites:
        assert site.started_again is not None
        assert site.times() == site.made
        assert_result(site.directory, seconds=SECONDS)
        assert (site.directory / "out/trivial0.txt").read_text() == "0\n"
        assert site.head.output.count("Submitted") == 2
        assert "Error" not in site.head.output
        assert {event.job_id for event in events(site.directory)} <= set(site.jobs)
        assert [event.kind for event in events(site.directory)].count("end") == 1
        with Head(site.directory, cluster.environment, *settings) as again:
            again.succeed(timeout=60)
        assert "Nothing to be done" in again.output
        assert not list((site.directory / ".snakemake/submitit/slurm/jobs").iterdir())
