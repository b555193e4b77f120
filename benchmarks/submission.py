"""How fast jobs are queued, how soon an end is noticed, and what the head takes meanwhile.

Runs on a SLURM of its own (tests/slurm), with small jobs, this project's executor beside
snakemake-executor-plugin-slurm, which is no dependency of the project:

    pip install --no-deps --target /tmp/slurm-plugin \\
        snakemake-executor-plugin-slurm snakemake-executor-plugin-slurm-jobstep
    python benchmarks/submission.py --others /tmp/slurm-plugin
    python benchmarks/submission.py --limited 1000 50 200    # jobs, MaxArraySize, MaxSubmitJobs

A job of such a thousand is a Snakemake of its own, which takes two cores 20 minutes a round and
says nothing about the head: without `--whole-jobs`, a stand-in in the jobs writes the output.
"""

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/slurm"))

from cluster import SlurmCluster, new_directory
from configuration import ClusterOptions

ROOT = Path(__file__).resolve().parents[1]
POLL_S = 2
COUNTED = ("sbatch", "squeue", "sacct", "scontrol", "scancel")
SNAKEFILE = """
rule all:
    input: [f"out/{i}" for i in range(int(config["jobs"]))]
rule job:
    output: "out/{i}"
    resources: runtime=10, mem_mb=500
    shell: "sleep $(( {config[each]} * {wildcards.i} )); touch {output}"
"""
# As sitecustomize.py: what a job's own Snakemake would do. The other plugin packs the commands of
# an array's tasks, but for the first of each, into one argument.
STAND_IN = """
import base64, json, os, re, sys, zlib
words = sys.orig_argv
if "SLURM_JOB_ID" in os.environ and words[1:3] == ["-m", "snakemake"]:
    command = " ".join(words)
    packed = re.search(r"--slurm-jobstep-array-execs[= ](\\S+)", command)
    tasks = json.loads(base64.b64decode(packed[1])) if packed else {}
    task = tasks.get(os.environ.get("SLURM_ARRAY_TASK_ID"))
    command = zlib.decompress(bytes.fromhex(task)).decode() if task else command
    open("out/" + re.search(r"job:i=(\\d+)", command)[1], "w").close()
    os._exit(0)
"""
EXECUTORS = {
    "submitit": ["--executor", "submitit"],
    "slurm": ["--executor", "slurm", "--slurm-init-seconds-before-status-checks=1"],
    "slurm, arrays": [
        *("--executor", "slurm", "--slurm-init-seconds-before-status-checks=1"),
        "--slurm-array-jobs=all",
    ],
}


@dataclass(frozen=True)
class Head:
    """A running Snakemake and the folder it runs in."""

    process: subprocess.Popen[bytes]
    directory: Path
    started: float

    @property
    def output(self) -> str:
        """All it has printed."""
        return (self.directory / "log").read_text()

    @property
    def noticed(self) -> int:
        """Of how many jobs it has seen the end; its log file says so, not always its terminal."""
        logs = self.directory.glob(".snakemake/log/*.log")
        return sum(log.read_text().count("(Rule: job)") for log in logs)

    @property
    def calls(self) -> Counter[str]:
        """How often it called each of SLURM's commands; sbatch, to submit."""
        calls = self.directory / "calls"
        return Counter(calls.read_text().split() if calls.exists() else ())


@contextmanager
def head(
    cluster: SlurmCluster,
    executor: str,
    jobs: int,
    others: Path,
    *,
    each_s: int = 3,
    at_a_time: int = 2000,
    whole_jobs: bool = True,
) -> Iterator[Head]:
    """Snakemake with an executor, interrupted at the end of the context if it still runs.

    Job i takes `each_s` times i seconds.
    """
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name:
        directory = Path(name)
        (directory / "Snakefile").write_text(SNAKEFILE)
        sbatch = directory / "bin/sbatch"
        sbatch.parent.mkdir()
        for name in COUNTED:  # the head's calls, not those of jobs, which inherit the path
            command = sbatch.with_name(name)
            command.write_text(
                f"#!/bin/bash\n[[ $SLURM_JOB_ID || $1 == --test-only ]] || echo {name} >> "
                f'{directory}/calls\nexec /usr/bin/{name} "$@"\n'
            )
            command.chmod(0o755)
        # The other plugin deletes the variable that says where this SLURM is.
        srun = sbatch.with_name("srun")
        conf = cluster.environment["SLURM_CONF"]
        srun.write_text(f'#!/bin/bash\nSLURM_CONF={conf} exec /usr/bin/srun "$@"\n')
        srun.chmod(0o755)
        stand_in = directory / "stand-in/sitecustomize.py"
        stand_in.parent.mkdir()
        stand_in.write_text("" if whole_jobs else STAND_IN)
        path = [str(sbatch.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
        command = [
            *(sys.executable, "-m", "snakemake", "--jobs", str(at_a_time), *EXECUTORS[executor]),
            *("--scheduler", "greedy", "--max-jobs-per-timespan", "10000/1s"),
            *(
                "--seconds-between-status-checks",
                str(POLL_S),
                "--config",
                f"jobs={jobs}",
                f"each={each_s}",
            ),
        ]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=directory,
                env={
                    **cluster.environment,
                    "PATH": os.pathsep.join(path),
                    # This checkout's plugin, also where another one is installed.
                    "PYTHONPATH": os.pathsep.join(
                        map(str, (stand_in.parent, ROOT / "workflow", others))
                    ),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
        try:
            yield Head(process, directory, time.monotonic())
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            process.wait(60)


@dataclass(frozen=True)
class Queueing:
    """What it took until all jobs waited in the queue."""

    seconds: float
    submissions: int  # calls of sbatch
    head_mb: float  # resident memory of the head


def queueing(cluster: SlurmCluster, executor: str, jobs: int, others: Path) -> Queueing:
    """Queue jobs in a partition that starts none."""
    cluster.run("scontrol", "update", "partitionname=main", "state=down")
    with head(cluster, executor, jobs, others) as running:
        while len(cluster.run("squeue", "--noheader", "--array").stdout.splitlines()) < jobs:
            if running.process.poll() is not None:
                raise RuntimeError(running.output)
            time.sleep(0.05)
        took_s = time.monotonic() - running.started
        time.sleep(2 * POLL_S)
        rss_mb = psutil.Process(running.process.pid).memory_info().rss / 1e6
        result = Queueing(took_s, running.calls["sbatch"], rss_mb)
    cluster.run("scancel", "--user", str(os.getuid()))
    cluster.wait_until(lambda: not cluster.jobs(), timeout=120)
    return result


def detection(cluster: SlurmCluster, executor: str, others: Path) -> list[float]:
    """Seconds from when SLURM no longer runs a job until the head says that it is done."""
    cluster.run("scontrol", "update", "partitionname=main", "state=up")
    ends: list[float] = []
    noticed: list[float] = []
    jobs = 6
    with head(cluster, executor, jobs, others) as running:
        most = 0
        while running.process.poll() is None:
            lines = cluster.run("squeue", "--noheader", "--array").stdout.splitlines()
            now = time.monotonic()
            most = max(most, len(lines))
            if most == jobs:
                ends += [now] * (jobs - len(lines) - len(ends))
            noticed += [now] * (running.noticed - len(noticed))
            time.sleep(0.1)
        if running.process.returncode != 0:
            raise RuntimeError(running.output)
    return [max(0.0, seen - end) for end, seen in zip(ends, noticed, strict=True)]


@dataclass(frozen=True)
class Limited:
    """What a head took, and made of its jobs, on a site that takes few of them at a time."""

    done: int
    minutes: float
    lines: int  # in the terminal
    head_mb: float  # largest resident memory
    calls: Counter[str]


def limited(
    cluster: SlurmCluster, executor: str, jobs: int, at_a_time: int, others: Path, whole_jobs: bool
) -> Limited:
    """Run jobs that take no time of their own until the head ends, whether it succeeds or not."""
    with head(
        cluster, executor, jobs, others, each_s=0, at_a_time=at_a_time, whole_jobs=whole_jobs
    ) as running:
        most_mb = 0.0
        while running.process.poll() is None:
            with contextlib.suppress(psutil.Error):
                rss = psutil.Process(running.process.pid).memory_info().rss
                most_mb = max(most_mb, rss / 1e6)
            time.sleep(1)
        minutes = (time.monotonic() - running.started) / 60
        if running.process.returncode:
            print("\n".join(running.output.splitlines()[-15:]), file=sys.stderr)
        done = len(list((running.directory / "out").glob("*")))
        lines = len(running.output.splitlines())
        result = Limited(done, minutes, lines, most_mb, running.calls)
    cluster.run("scancel", "--user", str(os.getuid()))
    cluster.wait_until(lambda: not cluster.jobs(), timeout=120)
    return result


def print_limited(options: argparse.Namespace) -> None:
    """Print a table of the heads on a site with limits; the other plugin is also told of them."""
    jobs, array_size, at_a_time = options.limited
    modes = [("submitit", 2000)]
    if options.others.exists():
        modes += [(name, n) for n in (2000, at_a_time) for name in EXECUTORS if name != "submitit"]
    results: dict[tuple[str, int], list[Limited]] = {mode: [] for mode in modes}
    site = ClusterOptions(max_array_size=array_size, max_submit_jobs=at_a_time)
    with SlurmCluster(new_directory(), site) as cluster:
        for _ in range(options.rounds):
            for mode, found in results.items():
                result = limited(
                    cluster, mode[0], jobs, mode[1], options.others, options.whole_jobs
                )
                found.append(result)
                print(mode, result, file=sys.stderr)
    print(
        "| executor | jobs done | time | lines | head | calls a minute |\n|---|---|---|---|---|---|"
    )
    for (executor, at_once), found in results.items():
        cells = [
            f"{executor}, --jobs {at_once}",
            spread([one.done for one in found], "", 0),
            spread([one.minutes for one in found], "min"),
            spread([one.lines for one in found], "", 0),
            spread([one.head_mb for one in found], "MB", 0),
            spread([one.calls.total() / one.minutes for one in found], ""),
        ]
        print(f"| {' | '.join(cells)} |")


def spread(values: Sequence[float], unit: str, digits: int = 1) -> str:
    """Median, smallest and largest."""
    middle, least, most = (
        f"{value:.{digits}f}" for value in (statistics.median(values), min(values), max(values))
    )
    return f"{middle} {unit} ({least} to {most})".replace("  ", " ")


def main() -> None:
    """Print a Markdown table: median and range over the rounds; executors take turns in each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--others", type=Path, default=Path("/nonexistent"))
    parser.add_argument("--jobs", type=int, nargs="*", default=[200, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limited", type=int, nargs=3, metavar=("JOBS", "ARRAY", "AT_A_TIME"))
    parser.add_argument("--whole-jobs", action="store_true", help="with --limited")
    options = parser.parse_args()
    if options.limited:
        print_limited(options)
        return
    executors = list(EXECUTORS) if options.others.exists() else ["submitit"]
    queued: dict[tuple[int, str], list[Queueing]] = {}
    delays: dict[str, list[float]] = {}
    with SlurmCluster(new_directory(), ClusterOptions()) as cluster:
        for _ in range(options.rounds):
            for jobs in options.jobs:
                for executor in executors:
                    result = queueing(cluster, executor, jobs, options.others)
                    queued.setdefault((jobs, executor), []).append(result)
            # The other plugin, with arrays, took an output for missing in one of two trials.
            for executor in [name for name in executors if "arrays" not in name]:
                found = detection(cluster, executor, options.others)
                delays.setdefault(executor, []).extend(found)
    print("| | executor | time | calls of sbatch | head |\n|---|---|---|---|---|")
    for (jobs, executor), results in queued.items():
        time_taken = spread([result.seconds for result in results], "s")
        calls = max(result.submissions for result in results)
        memory = spread([result.head_mb for result in results], "MB")
        print(f"| {jobs} jobs queued | {executor} | {time_taken} | {calls} | {memory} |")
    for executor, seconds in delays.items():
        print(f"| end noticed, poll {POLL_S} s | {executor} | {spread(seconds, 's')} | | |")


if __name__ == "__main__":
    main()
