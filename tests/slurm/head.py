"""Snakemake as a user runs it on a login node, on the small workflow in `workflow/`."""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

WORKFLOW = Path(__file__).parent / "workflow"
COMMAND = [
    sys.executable,
    *("-m", "snakemake", "--executor", "submitit", "--jobs", "1000"),
    *("--seconds-between-status-checks", "1", "--max-jobs-per-timespan", "10000/1s"),
    *("--latency-wait", "5", "--scheduler", "greedy", "--rerun-incomplete"),
]


@dataclass(frozen=True)
class Event:
    """A line that a training of the small workflow writes about itself."""

    time: float
    kind: str  # start, stop (told to save) or end
    step: int
    job_id: str


class Head:
    """A running Snakemake; a context manager that kills it at the end if it still runs."""

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *arguments: str,
        command: list[str] = COMMAND,
        user: str | None = None,  # None: this process's
    ) -> None:
        self.directory = directory
        if not (directory / "Snakefile").exists():
            shutil.copytree(WORKFLOW, directory, dirs_exist_ok=True)
        path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        self.log = directory / f"head-{time.time_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=directory,
                env={**environment, "PATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=None if user is None else pwd.getpwnam(user).pw_gid,
                extra_groups=None if user is None else [],
                # Background jobs of a shell ignore SIGINT, and this process would inherit that.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.kill()
        print(self.output)  # pytest shows it where the test fails, in this block or after it

    @property
    def output(self) -> str:
        """All it has printed."""
        return self.log.read_text()

    def wait(self, timeout: float) -> int:
        """The exit code; raises subprocess.TimeoutExpired."""
        return self.process.wait(timeout)

    def succeed(self, timeout: float) -> None:
        """Wait for its end; it must succeed."""
        assert self.wait(timeout) == 0, self.output

    def interrupt(self) -> None:
        """Ctrl-C in a terminal: SIGINT to it and to all that it started there."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """kill -9 to it alone."""
        self.process.kill()
        self.process.wait()


def unlock(directory: Path) -> None:
    """What a user types after a head was killed."""
    command = [sys.executable, "-m", "snakemake", "--unlock"]
    subprocess.run(command, cwd=directory, check=True, capture_output=True)


def events(directory: Path, training: int = 0) -> list[Event]:
    """What a training has done so far."""
    file = directory / f"state/{training}/events"
    lines = file.read_text().splitlines() if file.exists() else []
    return [
        Event(float(when), kind, int(step), job_id)
        for when, kind, step, job_id in (line.split() for line in lines)
    ]


def starts(directory: Path, training: int = 0) -> int:
    """How often a training was started."""
    return [event.kind for event in events(directory, training)].count("start")


def assert_result(directory: Path, seconds: float, training: int = 0) -> None:
    """The training has the result of one that was never interrupted."""
    value = ""
    steps = round(10 * seconds)
    for step in range(steps):
        value = hashlib.sha256(f"{step} {value}".encode()).hexdigest()
    assert (directory / f"out/train{training}.txt").read_text() == f"{steps} {value}\n"
