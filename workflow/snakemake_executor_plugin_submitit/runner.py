"""What runs on the node: one job's command, told to save and requeued when its time is up."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import psutil
from submitit import JobEnvironment
from submitit.helpers import DelayedSubmission

from snakemake_executor_plugin_submitit import environment, internals, naming, requeues
from snakemake_executor_plugin_submitit.ledger import holder

POLL_S = 0.2
LOOK_FOR_SAVERS_S = 5
LEDGER_WAIT_S = 60.0
SLURM_SIGNAL_SLACK_S = 75  # SLURM may signal up to a minute early
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Outcome:
    """What a job says of itself when it ends.

    It is pickled, as is JobRunner: results and queued jobs name this module and these fields.
    """

    status: Literal["done", "failed", "interrupted"]
    detail: str = ""
    exit_code: int = 0


@dataclass
class JobRunner:
    """Runs a job's command; a checkpointable callable of submitit."""

    command: str
    key: str
    ledger: Path | None  # None: no other head can have submitted a job for the same outputs
    time_limit_s: float
    signal_delay_s: float
    requeue_limit: int
    earlier_restarts: int = 0
    name: str = ""

    def __call__(self) -> Outcome:
        """Run the command to its end, or until the job is requeued: then this does not return."""
        if self.ledger is not None and not self._is_holder(self.ledger):
            return Outcome("failed", "another job makes the same outputs")
        if threading.current_thread() is not threading.main_thread():  # submitit's cluster `debug`
            code = subprocess.run(["bash", "-c", self.command], check=False).returncode
            return Outcome("failed" if code else "done", exit_code=code)
        naming.take_name(self.name)
        for pickle in internals.torn_pickles(JobEnvironment().paths):
            pickle.unlink(missing_ok=True)
        requeue = internals.requeue_handler()
        received: set[int] = set()
        _adopt_orphans()
        # The command inherits this, so that only processes with a handler of their own notice
        # SIGUSR2. Under proctrack/linuxproc SLURM sends it to every process; a shell would die.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        started = time.monotonic()
        process = subprocess.Popen(["bash", "-c", self.command])
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda n, frame: received.add(n))

        can_save, next_look = False, 0.0
        while (exit_code := process.poll()) != 0:
            elapsed = time.monotonic() - started
            if not can_save and elapsed >= next_look:
                can_save, next_look = bool(_savers()), elapsed + LOOK_FOR_SAVERS_S
                if can_save:
                    saves_file(JobEnvironment().paths.folder, JobEnvironment().job_id).touch()
            # A command that exits with an error after a signal was interrupted by that signal.
            if signal.SIGUSR2 in received:
                left = self.time_limit_s - elapsed
                is_early = left > self.signal_delay_s + SLURM_SIGNAL_SLACK_S
                if can_save or _savers() or is_early:
                    requeues.announce(is_early=is_early)
                    return self._requeue(requeue)
                # Nothing would be saved: started again, it would run into the same limit.
                received.remove(signal.SIGUSR2)
            if received:
                self._terminate(process, can_save)
            elif exit_code is not None:
                return Outcome("failed", exit_code=exit_code)
            time.sleep(POLL_S)
        return Outcome("done")

    def checkpoint(self) -> DelayedSubmission:
        """Have the state saved and stop the command; called by submitit, never raises."""
        _save_and_stop(self.signal_delay_s * 2 / 3)
        return DelayedSubmission(replace(self))

    def _requeue(self, requeue: Callable[[int, FrameType | None], Any]) -> Outcome:
        """Save and requeue under the same id, which ends this process; return only if it fails."""
        restarts = self.earlier_restarts + int(os.environ.get("SLURM_RESTART_COUNT", "0"))
        if restarts >= self.requeue_limit:
            _save_and_stop(self.signal_delay_s * 2 / 3)
            if self.requeue_limit == 0:
                return Outcome(
                    "failed", "its time was up, or it was preempted: it may not run again"
                )
            return Outcome("failed", f"requeued {restarts} times (--submitit-requeue-limit)")
        # Under proctrack/linuxproc the SIGTERM that SLURM sends to a job it requeues also reaches
        # the scontrol that asked for the requeue. It inherits this.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            requeue(signal.SIGUSR2, None)
        except Exception as error:  # scontrol: a site without requeue, a controller that is away
            return Outcome("interrupted", f"not requeued: {error}")
        raise AssertionError("submitit's handler returned")

    def _terminate(self, process: "subprocess.Popen[bytes]", can_save: bool) -> None:
        """React to SIGTERM: a cancelled job saves and exits, a preempted one stays until killed.

        SLURM counts a preempted job that exits by itself as completed and does not requeue it.
        A command that saves nothing goes on with its work: it may end in time.
        """
        in_slurm = JobEnvironment().cluster == "slurm"
        if can_save or _savers() or not in_slurm:
            _save_and_stop(self.time_limit_s)
        while in_slurm and _is_running():
            if process.poll() == 0:
                return
            time.sleep(1)
        _save_and_stop(0)
        sys.exit(128 + signal.SIGTERM)  # leaves no result

    def _is_holder(self, ledger: Path) -> bool:
        """Whether the ledger has this job; one whose head died before recording it must not run."""
        job_id = JobEnvironment().job_id
        deadline = time.monotonic() + LEDGER_WAIT_S
        while (recorded := holder(ledger, self.key)) is None and time.monotonic() < deadline:
            time.sleep(1)
        return recorded == job_id


def saves_file(folder: Path, job_id: str) -> Path:
    """A file that exists if something in the job saves its state on SIGUSR2."""
    return folder / f"{job_id}_saves"


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own parent dies, so that they can still be found."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _savers() -> list[psutil.Process]:
    """The descendants that catch SIGUSR2: they save their state when they get it."""
    return [process for process in psutil.Process().children(recursive=True) if _catches(process)]


def _catches(process: psutil.Process) -> bool:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (signal.SIGUSR2 - 1) & 1)
    return False


def _save_and_stop(patience_s: float) -> None:
    """Tell what can save its state to do so, wait for it, and kill the rest; never raises."""
    # Snakemake first: it would delete the outputs and logs of the job as of one that failed.
    descendants = psutil.Process().children(recursive=True)
    _send(signal.SIGKILL, [process for process in descendants if _is_snakemake(process)])
    savers = _savers()
    _send(signal.SIGUSR2, savers)
    deadline = time.monotonic() + patience_s
    while any(_is_alive(process) for process in savers) and time.monotonic() < deadline:
        time.sleep(POLL_S / 2)
    _send(signal.SIGKILL, psutil.Process().children(recursive=True))


def _send(number: int, processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def _is_snakemake(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return internals.is_snakemake_of_job(process.cmdline())
    return False


def _is_alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _is_running() -> bool:
    """Whether SLURM shows this job as running: neither cancelled nor requeued yet."""
    command = ["squeue", "--noheader", "--format=%T", "--jobs", os.environ["SLURM_JOB_ID"]]
    try:
        answer = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env=environment.without_filters(),
        )
    except (OSError, subprocess.SubprocessError):
        return True
    return answer.stdout.strip() == "RUNNING"
