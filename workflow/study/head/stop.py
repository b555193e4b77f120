"""How a head ends when it is told to: after its trainings have saved, not like a crash."""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2, signal.SIGHUP)
SAME_KEY_S = 1.0  # Ctrl-C may reach a head twice, as by `make`: from the terminal and passed on
DEAF_S = 10.0
SHELLS = ("bash", "sh", "dash")
WRITERS = ("wandb-core",)  # a training still writes to it while it saves, and then ends it
EXECUTOR = "snakemake_executor_plugin_submitit"


class Stop:
    """The head's reaction to these signals, from the moment it is armed.

    Local jobs get a signal too, whoever got it first; the head ends when they have. Jobs of a
    cluster are cancelled on SIGINT, and each saves; on the others they run on without it.
    A second signal ends the head and its local jobs at once. The exit code is 128 + the signal's.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._signal: signal.Signals | None = None
        self._since = 0.0
        self._clean_up: Callable[[], None] = lambda: None
        self._is_started = False
        self._is_local = True
        self._snakemakes: Any = None
        self._jobs_ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._children: dict[psutil.Process, Path | None] = {}  # and the run that each trains
        self._told: dict[psutil.Process, float] = {}  # when each of them got SIGINT

    def arm(self) -> None:
        """React from now on; under nohup, not to SIGHUP.

        But to SIGINT even if it is ignored, as in the background of a script: it is meant. So are
        those that whoever started this process has blocked.
        """
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        for number in SIGNALS:
            handler = signal.getsignal(number)
            is_nohup = number == signal.SIGHUP and handler == signal.SIG_IGN
            if handler != self._handle and not is_nohup:
                if number == signal.SIGTERM:
                    self._snakemakes = handler
                signal.signal(number, self._handle)

    def before_exit(self, clean_up: Callable[[], None]) -> None:
        """What is to be done even if the process ends without unwinding."""
        self._clean_up = clean_up

    def jobs_start(self, *, is_local: bool) -> None:
        """From now on there are jobs: Snakemake's scheduler has set its own handler meanwhile."""
        self._is_started = True
        self._is_local = is_local
        self.arm()

    def jobs_end(self) -> None:
        """Exit with a few words if a signal was the reason why the jobs have ended."""
        if self._signal is None:
            return
        self._jobs_ended.set()
        if self._thread is not None:
            self._thread.join()
        psutil.wait_procs(list(self._children))
        self._say(self._summary() if self._is_local else self._cancelled())
        sys.exit(128 + self._signal)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:
            if time.time() - self._since > SAME_KEY_S:
                self._kill()
            return
        self._signal, self._since = signal.Signals(number), time.time()
        if not self._is_started:
            self._say(f"stopped by {self._signal.name} before any job was started")
            sys.exit(128 + number)
        # What Snakemake says about jobs that were told to end looks like a failure.
        self._logger.addFilter(lambda record: EXECUTOR in record.pathname)
        if self._is_local:
            # In a thread: Snakemake's lock may be held by the code that this handler interrupts.
            self._thread = threading.Thread(target=self._stop_jobs, daemon=True, name="stop")
            self._thread.start()
        elif number == signal.SIGINT:
            raise KeyboardInterrupt  # Snakemake has the executor cancel all jobs
        else:
            self._say(
                f"{self._signal.name}: this head ends, its jobs run on in the cluster; the same "
                "command finds them again (to end them too, press Ctrl-C there)"
            )
            self._exit()

    def _stop_jobs(self) -> None:
        if callable(self._snakemakes):
            self._snakemakes(signal.SIGTERM, None)  # start nothing more, end with the jobs
        is_told = False
        while True:
            self._tell_children()
            if not is_told and any(self._children.values()):
                is_told = True
                self._say(
                    f"{self._name}: waiting until what is being trained is saved (once more: "
                    "end at once)"
                )
            if self._jobs_ended.wait(0.2):
                return

    def _tell_children(self) -> None:
        """Send SIGINT, and SIGTERM to what is deaf to it: bash reports each death by SIGTERM."""
        now = time.monotonic()
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                # A shell ends with its command, and Snakemake must not think earlier that it has.
                name = child.name()
                if name in WRITERS or (name in SHELLS and child.children()):
                    continue
                if child not in self._children:
                    self._children[child] = _trained_run(child.cmdline())
                    self._told[child] = now
                    child.send_signal(signal.SIGINT)
                elif now - self._told[child] > DEAF_S:
                    self._told[child] = float("inf")
                    child.send_signal(signal.SIGTERM)

    def _kill(self) -> None:
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
        self._say(f"{self._name}: ended at once; the same command goes on from what was saved")
        self._exit()

    def _exit(self) -> None:
        self._clean_up()
        os._exit(128 + (self._signal or 0))

    @property
    def _name(self) -> str:
        return self._signal.name if self._signal else ""

    def _summary(self) -> str:
        runs = sorted({run for run in self._children.values() if run is not None})
        if not runs:
            return f"stopped by {self._name}, nothing was being trained; the same command goes on"
        told = ", ".join(f"{'/'.join(run.parts[-3:])} {self._saved(run)}" for run in runs)
        return f"stopped by {self._name}: {told}; the same command goes on from there"

    def _saved(self, run: Path) -> str:
        """How far a training got, from the file names of its states."""
        if (run / "train.json").exists():
            return "is finished"
        states = sorted((run / "state").rglob("step*.pt"), key=lambda path: path.stat().st_mtime)
        if not states:
            return "had not taken a step"
        step = int(states[-1].name.removeprefix("step")[:9])
        is_new = states[-1].stat().st_mtime >= self._since - 1
        return f"saved at step {step}" if is_new else f"was saved last at step {step}"

    def _cancelled(self) -> str:
        return (
            f"stopped by {self._name}: the jobs are cancelled, and each training saves before it "
            "ends; the same command goes on from there"
        )

    def _say(self, message: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print(message, file=sys.stderr, flush=True)


def _trained_run(command_line: list[str]) -> Path | None:
    """The run's folder in the command line of a training."""
    if "model.train" not in command_line:
        return None
    following = command_line[command_line.index("model.train") + 1 :]
    return Path(following[0]) if following else None
