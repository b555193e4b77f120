"""Which processes are killed how and when: planned by a seed, carried out on a running command."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import psutil
from cluster import SlurmCluster
from faulted_study import Executor, FaultedStudy, send
from head import Head

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
# How often each is hit.  A group is the head and what it started in its terminal, as by Ctrl-C; a
# worker evaluates, samples or collects; a job is what the executor submitted.
WEIGHTS = {
    "trainer": 30,
    "shell": 8,
    "inner head": 12,
    "head": 25,
    "group": 12,
    "job": 12,
    "worker": 8,
}
ONLY_WITH_JOBS = ("inner head", "job")
STORM_CHANCE, STORM_GAP_S = 0.3, 0.4
WRITING_CHANCE, WRITING_WAIT_S = 0.35, 5.0
POLL_S, POLL_WRITING_S = 0.05, 0.002

# Lists ways to send a signal to one of the targets of that moment; false if it is gone.
Aims = Callable[[], list[Callable[[signal.Signals], bool]]]


@dataclass(frozen=True)
class Kill:
    """One signal or a storm of them, sent to one kind of process."""

    target: str
    signals: tuple[signal.Signals, ...]
    gaps_s: tuple[float, ...]  # before each signal but the first
    delay_s: float  # after the target has been seen
    while_writing: bool  # then at the moment when a run's file is being written
    choice: float  # in [0, 1): which one of several

    def __str__(self) -> str:
        names = "+".join(number.name.removeprefix("SIG") for number in self.signals)
        moment = " writing" if self.while_writing else ""
        return f"{names}>{self.target}{moment}"


def plan(seed: int, executor: Executor) -> list[Kill]:
    """The kills of a round; the same ones for the same seed and executor."""
    random_of = random.Random(f"{seed} {executor.name}")
    weights = {
        target: weight
        for target, weight in WEIGHTS.items()
        if executor.has_inner_heads or target not in ONLY_WITH_JOBS
    }
    return [_planned(random_of, weights) for _ in range(random_of.choice((1, 2, 2, 3, 3, 4)))]


def _planned(random_of: random.Random, weights: dict[str, int]) -> Kill:
    target = random_of.choices(list(weights), list(weights.values()))[0]
    number = random_of.randint(2, 5) if random_of.random() < STORM_CHANCE else 1
    # SIGKILL comes alone as often as all others together, and last in a storm.
    kinds = random_of.choices(SIGNALS, (3, 1, 1, 1), k=number)
    kinds.sort(key=lambda kind: kind == signal.SIGKILL)
    # From the first moment, when Python is importing, to the last files of a study.
    longest = 20 if target in ("head", "group") else 7
    return Kill(
        target=target,
        signals=tuple(kinds),
        gaps_s=tuple(random_of.uniform(0, STORM_GAP_S) for _ in kinds[1:]),
        delay_s=random_of.uniform(0, longest),
        while_writing=target != "worker" and random_of.random() < WRITING_CHANCE,
        choice=random_of.random(),
    )


class Shooter:
    """Carries kills out on the processes of a study."""

    def __init__(self, study: FaultedStudy, cluster: SlurmCluster | None) -> None:
        self.study = study
        self.cluster = cluster

    def shoot(self, kill: Kill, head: Head) -> bool:
        """Wait for the target and for the moment; False if the command ended before."""
        aims = self._aims(kill.target, head)
        if not _appears(aims, head, self.study.executor.command_s):
            return False
        if not _still_runs(head, kill.delay_s):
            return False
        if kill.while_writing:
            self._wait_for_writing(head)
        hit = False
        for number, gap in zip(kill.signals, (0.0, *kill.gaps_s), strict=True):
            time.sleep(gap)
            if found := aims():
                hit |= found[int(kill.choice * len(found))](number)
        return hit

    def _wait_for_writing(self, head: Head) -> None:
        deadline = time.monotonic() + WRITING_WAIT_S
        while not self.study.staging() and time.monotonic() < deadline:
            if head.process.poll() is not None:
                return
            time.sleep(POLL_WRITING_S)

    def _aims(self, target: str, head: Head) -> Aims:
        if target == "head":
            return lambda: [lambda number: _signal_head(head, number)]
        if target == "group":
            return lambda: [lambda number: _signal_group(head, number)]
        if target == "job" and self.cluster is not None:
            cluster = self.cluster
            return lambda: [
                lambda number, job=job: _signal_job(cluster, job.job_id, number)
                for job in cluster.jobs().values()
                if job.state == "RUNNING"
            ]
        is_target = IS_TARGET[target]
        return lambda: [
            lambda number, process=process: send(process, number)
            for process in self.study.processes()
            if is_target(_command_line(process))
        ]


def _appears(aims: Aims, head: Head, seconds: float) -> bool:
    """Whether there is a target before the command ends or the seconds are over."""
    deadline = time.monotonic() + seconds
    while head.process.poll() is None and time.monotonic() < deadline:
        if aims():
            return True
        time.sleep(POLL_S)
    return False


def _still_runs(head: Head, seconds: float) -> bool:
    """Whether the command runs some seconds later."""
    try:
        head.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


def _signal_head(head: Head, number: signal.Signals) -> bool:
    if head.process.poll() is not None:
        return False
    head.process.send_signal(number)
    return True


def _signal_group(head: Head, number: signal.Signals) -> bool:
    try:
        os.killpg(head.process.pid, number)
    except ProcessLookupError:
        return False
    return True


def _signal_job(cluster: SlurmCluster, job_id: str, number: signal.Signals) -> bool:
    """`scancel`, or a signal to all of the job's processes."""
    options = [] if number == signal.SIGTERM else [f"--signal={number.name}", "--full"]
    return cluster.run("scancel", *options, job_id).returncode == 0


def _command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _runs_module(command_line: list[str], name: str) -> bool:
    """Whether it is `python -m NAME`, or of a package NAME."""
    modules = [b for a, b in pairwise(command_line) if a == "-m"]
    return modules[:1] == [name] or (bool(modules) and modules[0].startswith(f"{name}."))


def _is_trainer(command_line: list[str]) -> bool:
    return _runs_module(command_line, "model.train")


def _is_shell(command_line: list[str]) -> bool:
    is_bash = bool(command_line) and os.path.basename(command_line[0]) == "bash"
    return is_bash and "python -m model.train" in command_line[-1]


def _is_inner_head(command_line: list[str]) -> bool:
    return _runs_module(command_line, "snakemake") and "--target-jobs" in command_line


def _is_job(command_line: list[str]) -> bool:
    return _runs_module(command_line, "submitit")


def _is_worker(command_line: list[str]) -> bool:
    science = _runs_module(command_line, "model") and not _is_trainer(command_line)
    return science or _runs_module(command_line, "study")


IS_TARGET: dict[str, Callable[[list[str]], bool]] = {
    "trainer": _is_trainer,
    "shell": _is_shell,
    "inner head": _is_inner_head,
    "job": _is_job,
    "worker": _is_worker,
}
