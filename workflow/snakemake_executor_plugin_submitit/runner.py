"""What runs on the node: one job's command, told to save and requeued when its time is up."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn

import psutil
from submitit import JobEnvironment
from submitit.helpers import DelayedSubmission

from snakemake_executor_plugin_submitit import environment, internals, naming, requeues, slurm
from snakemake_executor_plugin_submitit.incarnation import EXIT_CODE, Incarnation, saves_file

POLL_S = 0.2
LOOK_FOR_SAVERS_S = 5
LEDGER_WAIT_S = 60.0
OVERTAKEN_S = 1.0  # between looks whether a newer start counts
SUPERSEDED_S = 60.0  # likewise, and whether the head is done with the job: that reads more
GIVE_WAY_S = 3.0  # in which an earlier start that still runs notices that
KILL_SLACK_S = 5.0  # for the kill that follows SIGTERM
SLURM_SIGNAL_SLACK_S = 75  # SLURM may signal up to a minute early
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Outcome:
    """What a job says of itself when it ends.

    It is written as JSON. JobRunner is pickled: queued jobs name this module and its fields.
    """

    status: Literal["done", "failed", "interrupted"]
    detail: str = ""
    exit_code: int = 0
    restarts: int = 0  # how often SLURM had started the job before


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
    start: Incarnation | None = field(default=None, init=False, repr=False, compare=False)

    def __call__(self) -> Outcome:
        """Run the command to its end, or until the job is requeued.

        The process ends here, with a record for the head unless this start does not count: submitit
        would write what is returned to a folder that the head may have removed by then.
        """
        if self.ledger is None:  # submitit's cluster `debug`: a thread of the head
            code = subprocess.run(["bash", "-c", self.command], check=False).returncode
            return Outcome("failed" if code else "done", exit_code=code)
        _adopt_orphans()
        start = self.start = Incarnation.of_this_process(self.ledger, self.key)
        try:
            self._begin(start)
            outcome = self._run(start)
        except Exception as error:
            outcome = Outcome("failed", f"{type(error).__name__}: {error}")
        self._go_on_if_it_counts(start)
        outcome = replace(outcome, restarts=start.restarts)
        start.write_record(asdict(outcome))
        sys.exit(0)

    def _begin(self, start: Incarnation) -> None:
        """Make this the start that counts; exits if the head does not wait for it."""
        with contextlib.suppress(FileNotFoundError):  # the head is done with the job
            start.claim()
        if start.restarts and _is_in_slurm():
            time.sleep(GIVE_WAY_S)
        deadline = time.monotonic() + LEDGER_WAIT_S
        while (entry := start.recorded()) is None and time.monotonic() < deadline:
            time.sleep(1)
        if entry is None or entry.cancelled or _known(start.is_superseded):
            _give_way("No head waits for this job, or another one makes its outputs: it ends.")

    def _run(self, start: Incarnation) -> Outcome:
        naming.take_name(self.name)
        for pickle in internals.torn_pickles(JobEnvironment().paths):
            pickle.unlink(missing_ok=True)
        requeue = internals.requeue_handler()
        received: set[int] = set()
        # The command inherits this, so that only processes with a handler of their own notice
        # SIGUSR2. Under proctrack/linuxproc SLURM sends it to every process; a shell would die.
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        started = time.monotonic()
        process = subprocess.Popen(["bash", "-c", self.command], env=start.in_environment())
        for number in (signal.SIGUSR2, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda n, frame: received.add(n))

        saves = saves_file(Path(start.folder), start.submission, start.job_id)
        can_save = saves.exists()  # as the start before could: this one goes on from its state
        next_look, next_check, thorough = 0.0, 0.0, SUPERSEDED_S
        while (exit_code := process.poll()) != 0:
            elapsed = time.monotonic() - started
            if elapsed >= next_check:  # also first of all after the process was frozen
                if elapsed >= thorough:
                    self._go_on_if_it_counts(start)
                    thorough = elapsed + SUPERSEDED_S
                elif _known(start.is_overtaken):
                    _give_way()
                next_check = elapsed + OVERTAKEN_S
            if not can_save and elapsed >= next_look:
                can_save, next_look = bool(_savers()), elapsed + LOOK_FOR_SAVERS_S
                if can_save:
                    saves.touch()
            # A command that exits with an error after a signal was interrupted by that signal.
            if signal.SIGUSR2 in received:
                left = self.time_limit_s - elapsed
                is_early = left > self.signal_delay_s + SLURM_SIGNAL_SLACK_S
                if can_save or _savers() or is_early:
                    requeues.announce(start.restarts, is_early=is_early)
                    return self._requeue(start, requeue)
                # Nothing would be saved: started again, it would run into the same limit.
                received.remove(signal.SIGUSR2)
            if received:
                self._go_on_if_it_counts(start)
                if self._terminate(process, can_save) is After.REQUEUE:
                    return self._requeue(start, requeue)
                received.clear()
            elif exit_code is not None:
                return Outcome("failed", exit_code=exit_code)
            time.sleep(POLL_S)
        return Outcome("done")

    def _go_on_if_it_counts(self, start: Incarnation) -> None:
        if _known(start.is_superseded):
            _give_way()

    def checkpoint(self) -> DelayedSubmission:
        """Have the state saved and stop the command; called by submitit, never raises.

        It may exit instead: what submitit requeues after this is the id, whoever has it now.
        """
        if self.start is not None:
            self._go_on_if_it_counts(self.start)
        _save_and_stop(self.signal_delay_s * 2 / 3)
        return DelayedSubmission(replace(self))

    def _requeue(
        self, start: Incarnation, requeue: Callable[[int, FrameType | None], Any]
    ) -> Outcome:
        """Save and requeue under the same id, which ends this process; return only if it fails."""
        self._go_on_if_it_counts(start)  # the job that would be requeued is another start's
        restarts = self.earlier_restarts + start.restarts
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

    def _terminate(self, process: "subprocess.Popen[bytes]", can_save: bool) -> "After":
        """React to SIGTERM: a cancelled job saves and exits, a preempted one stays until killed.

        SLURM counts a preempted job that exits by itself as completed and does not requeue it.
        Somebody may also have sent the signal and nothing else: then no kill follows, and a job
        that has stopped is requeued instead of keeping its node from others until its time is up.
        A command that saves nothing goes on with its work: it may end in time.
        """
        if not _is_in_slurm():
            _save_and_stop(self.time_limit_s)
            sys.exit(128 + signal.SIGTERM)  # leaves no result
        kill_wait_s = slurm.kill_wait_s() + KILL_SLACK_S
        deadline = time.monotonic() + kill_wait_s
        if can_save or _savers():
            _save_and_stop(max(kill_wait_s, self.signal_delay_s * 2 / 3))
        while _is_running():
            if process.poll() == 0:
                return After.GO_ON
            if time.monotonic() > deadline:
                return After.GO_ON if process.poll() is None else After.REQUEUE
            time.sleep(1)
        _save_and_stop(0)
        sys.exit(128 + signal.SIGTERM)


class After(Enum):
    """What to do after a signal that asked for the end, if nothing has ended the job."""

    GO_ON = auto()
    REQUEUE = auto()


def _is_in_slurm() -> bool:
    return str(JobEnvironment().cluster) == "slurm"


def _known(is_so: Callable[[], bool]) -> bool:
    """Whether it is so; not, while the disk does not tell."""
    with contextlib.suppress(OSError):
        return is_so()
    return False


def _give_way(why: str = "A newer start of this job makes its outputs: this one ends.") -> NoReturn:
    """End at once, with nothing saved and no record: what is there belongs to another."""
    while descendants := list(filter(_is_alive, psutil.Process().children(recursive=True))):
        # At one go: if SLURM kills this process meanwhile, orphans would be left, which nobody
        # finds. Snakemake first: it would delete the outputs of a command that failed.
        _send(signal.SIGKILL, sorted(descendants, key=_is_snakemake, reverse=True))
        time.sleep(POLL_S / 2)
    print(why, file=sys.stderr, flush=True)
    sys.exit(EXIT_CODE)


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
