"""The study whose processes are killed: two runs on digits, and the command for their tables."""

import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from head import Head
from project import Project

# One run has two ranks, which have a launcher that can be killed, too.
STUDY = """\
study: faults
ablations:
  faults: {title: Faults, description: Runs that are killed., variants: [x1, two-ranks]}
variants:
  two-ranks: {model: {repeats: 2}, train: {gpus: 2, iterations: 30}}
studies:
  faults:
    datasets: [digits]
    seeds: 1
    ablations: [faults]
    model: {width: 8}
    train: {iterations: 100, validation_images: 100, validate_every: 20, log_every: 10}
    evaluate: {importance_samples: 2}
    probe: {temperatures: [0.5, 1.0]}
"""
RESULTS = Path("results/faults")
# What shows each number of a run; the figures and probes of the study take many seconds more.
TARGETS = [
    f"{RESULTS}/tables/runs.parquet",
    f"{RESULTS}/tables/faults.md",
    f"{RESULTS}/runs/digits/x1/seed0/samples.png",
]
CHECKPOINT_MINUTES = 0.005  # so that there is something between the steps to be killed in
PATIENCE_S = 15  # for processes to notice that they have been left alone


@dataclass(frozen=True)
class Executor:
    """A way of running the study's jobs."""

    name: str
    options: tuple[str, ...]
    command_s: int  # a command that takes longer hangs

    @property
    def has_inner_heads(self) -> bool:
        """Whether each job is run by a Snakemake of its own."""
        return self.name != "local"


LOCAL = Executor("local", ("--cores", "3"), 240)
SUBMITIT_LOCAL = Executor(
    "submitit-local",
    (
        *("--executor", "submitit", "--submitit-cluster", "local", "--jobs", "2"),
        *("--seconds-between-status-checks", "1"),
    ),
    300,
)
SLURM = Executor(
    "slurm",
    ("--profile", "slurm", "--seconds-between-status-checks", "1", "--latency-wait", "10"),
    300,
)


class FaultedStudy:
    """A copy of the project in an empty directory, in which the study is made."""

    def __init__(
        self, directory: Path, executor: Executor, environment: Mapping[str, str] = os.environ
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory.resolve()
        self.executor = executor
        # Snakemake looks for its executors before it reads the Snakefile, which sets this path.
        packages = os.pathsep.join(map(str, (self.directory, self.directory / "workflow")))
        self.environment = {**environment, "PYTHONPATH": packages}
        self.project = Project(self.directory)
        (self.directory / "faults.yaml").write_text(STUDY)
        # The rule has no option for it, since nobody needs one.
        option = " --threads 1"
        often = f"{option} --checkpoint-minutes {CHECKPOINT_MINUTES}"
        self.project.edit("workflow/rules/train.smk", option, often)

    @property
    def results(self) -> Path:
        """The folder of what the study makes."""
        return self.directory / RESULTS

    def command(self, *arguments: str) -> list[str]:
        """What the user types, again and again."""
        options = [*self.executor.options, "--configfile", "faults.yaml", *arguments]
        return [sys.executable, "-m", "snakemake", *options, "--", *TARGETS]

    def type(self, *arguments: str) -> Head:
        """Start the command."""
        return Head(self.directory, self.environment, command=self.command(*arguments))

    def processes(self) -> list[psutil.Process]:
        """All that runs in this directory, whoever its parent is by now."""
        inside = []
        for process in psutil.process_iter():
            try:
                folder = Path(process.cwd())
            except psutil.Error:  # gone, or a zombie
                continue
            if folder.is_relative_to(self.directory):
                inside.append(process)
        return inside

    def staging(self) -> list[Path]:
        """What is being written at this moment: temporary files and folders of the runs."""
        runs = self.results / "runs/digits"
        folders = [runs / "*/seed0", runs / "*/seed0/state", runs / "*/seed0/state/*"]
        patterns = [str(folder.relative_to(runs) / ".*") for folder in folders]
        return [path for pattern in patterns for path in runs.glob(pattern)]

    def orphans(self, patience_s: float = PATIENCE_S) -> list[str]:
        """The command lines of processes that stay although no command runs; they are killed."""
        deadline = time.monotonic() + patience_s
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        lines = [describe(process) for process in left]
        kill(left)
        return lines

    def kill_all(self) -> None:
        """End all that runs in this directory."""
        while processes := self.processes():
            kill(processes)
            time.sleep(0.1)


def kill(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL; those that are gone are passed over."""
    for process in processes:
        send(process, signal.SIGKILL)


def send(process: psutil.Process, number: signal.Signals) -> bool:
    """Send a signal; whether there still was such a process."""
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return False
    return True


def describe(process: psutil.Process) -> str:
    """Its number and the beginning of its command line."""
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:160]}"
    except psutil.Error:
        return f"{process.pid} (gone)"
