"""What a head shows in the terminal: what a person waits for.  Snakemake's log file has all else.

Snakemake says 20 lines of each job.  Here it says which trainings have ended, how far it is once a
minute, what fails as it fails, and what the executor says of the cluster's jobs.
"""

import contextlib
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from model.training.progress_file import FILE
from model.wording import counted, nll_text
from study.log_end import log_end

Job = tuple[str, dict[str, str]]  # its rule, and its wildcards

TRAIN = "train"  # the rule
MANY = 100  # trainings: of more, the summary alone tells
SUMMARY_S = 60.0
LOG_LINES = 20  # of the log of a job that failed
# Of Snakemake's lines that are no warnings, these are shown.
BEGINNINGS = ("Nothing to be done", "Trying to restart job ")
# Nor is what is said here hidden: by an executor, and by what installs conda environments.
PLACES = ("snakemake_executor_plugin_", f"{os.sep}deployment{os.sep}")
BEFORE_JOBS = "Building DAG of jobs..."


class Terminal(logging.Handler):
    """Follows what Snakemake says, and decides what of it is shown.

    Brief only if a log file has the rest, and if nobody has asked for more (`--verbose`, `-p`).
    """

    def __init__(self, logger: logging.Logger, study_dir: Path, settings: Any) -> None:
        super().__init__()
        self._logger, self._study_dir = logger, study_dir
        quiet = {choice.name for choice in settings.quiet or ()}
        self._is_silent = bool(quiet & {"ALL", "PROGRESS"})
        self._asked_for_all = settings.verbose or settings.printshellcmds or settings.debug_dag
        self._are_jobs_known = False
        self._stats = ""
        self._jobs: dict[int, Job] = {}  # that were started, by Snakemake's number
        self._trainings, self._trained, self._failed = 0, 0, 0
        self._done = (0, 0)
        self._summary = ""
        self._ended = threading.Event()

    def watch(self) -> None:
        """Be brief from now on, while the Snakefile is read."""
        if self._asked_for_all:
            return
        for handler in self._logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(
                handler, logging.FileHandler
            ):
                handler.addFilter(self._shows)
                handler.setFormatter(_WithLogEnds(handler.formatter))
        self._logger.addHandler(self)

    def jobs_come(self, jobs: Sequence[Job], *, is_dry_run: bool, is_local: bool) -> None:
        """Be brief about these jobs, too: those of Snakemake, or of a dry run."""
        files = [it for it in self._logger.handlers if isinstance(it, logging.FileHandler)]
        if self not in self._logger.handlers or not (files or is_dry_run):
            return
        self._are_jobs_known = True
        self._trainings = sum(rule == TRAIN for rule, _ in jobs)
        self._done = (0, len(jobs))
        study = self._study_dir.name
        if is_dry_run and jobs:
            self._say(f"Each job and its reason: -p; each run's and its cost: study plan {study}")
        elif is_local and jobs:
            self._say(f"What each job does: {os.path.relpath(files[0].baseFilename)} (here: -p)")
            self._say(f"How far the trainings are: study status {study} --watch")
            threading.Thread(target=self._summarise, daemon=True, name="summary").start()

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a message."""
        with contextlib.suppress(LookupError, TypeError):  # a Snakemake that says other things
            self._note(vars(record))

    def _note(self, said: Mapping[str, Any]) -> None:
        match said.get("event"):  # a LogEvent of Snakemake's, which is a text; or none
            case "job_info":
                self._jobs[said["jobid"]] = said["rule_name"], dict(said["wildcards"] or {})
            case "job_finished":
                rule, wildcards = self._jobs.pop(said["job_id"], ("", {}))
                if rule == TRAIN:
                    self._trained += 1
                    self._tell_trained(wildcards)
            case "job_error":
                self._failed += 1
                self._jobs.pop(said["jobid"], None)
            case "progress":
                self._done = said["done"], said["total"]

    def close(self) -> None:
        """Say no more."""
        self._ended.set()
        super().close()

    def _shows(self, record: logging.LogRecord) -> bool:
        """Whether the terminal shows a message."""
        said = vars(record)
        event = said.get("event")
        if event == "workflow_started" or record.msg == BEFORE_JOBS:
            return False
        if not self._are_jobs_known or record.levelno >= logging.WARNING or "is_told" in said:
            return True
        if event == "run_info":  # the jobs by rule, which a dry run says twice
            is_new, self._stats = record.msg != self._stats, str(record.msg)
            return is_new
        if event == "progress":
            return bool(said.get("done") == said.get("total"))
        is_of_place = any(place in record.pathname for place in PLACES)
        return is_of_place or str(record.msg).startswith(BEGINNINGS)

    def _say(self, line: str) -> None:
        if not self._is_silent:
            self._logger.info(line, extra={"is_told": True})

    def _tell_trained(self, wildcards: dict[str, str]) -> None:
        if self._trainings > MANY:
            return
        run = f"{wildcards['dataset']}/{wildcards['variant']}/seed{wildcards['seed']}"
        how = _ending(self._study_dir / "runs" / run / "state" / FILE)
        self._say(f"{_now()}: {run} {how} ({self._trained} of {self._trainings})")

    def _summarise(self) -> None:
        while not self._ended.wait(SUMMARY_S):
            rules = Counter(rule for rule, _ in list(self._jobs.values()))
            running = ", ".join(f"{number} {rule}" for rule, number in rules.most_common())
            failed = f", {self._failed} failed" if self._failed else ""
            text = (
                f"running {running or 'nothing'}; {self._trained} of "
                f"{counted(self._trainings, 'training')} and {self._done[0]} of "
                f"{counted(self._done[1], 'job')} done{failed}"
            )
            if text != self._summary:
                self._summary = text
                self._say(f"{_now()}: {text}")


class _WithLogEnds(logging.Formatter):
    """Snakemake's own text, with the end of a log that it would show from the beginning."""

    def __init__(self, snakemakes: Any) -> None:
        super().__init__()
        self._snakemakes = snakemakes
        self._shows_logs = getattr(snakemakes, "show_failed_logs", False)
        snakemakes.show_failed_logs = False

    def format(self, record: logging.LogRecord) -> str:
        """The text of a message."""
        text = str(self._snakemakes.format(record))
        if not self._shows_logs or vars(record).get("event") != "job_error":
            return text
        for log in map(Path, vars(record).get("log") or ()):
            lines = log_end(log).splitlines()[-LOG_LINES:]
            text += "".join(f"\n{line}" for line in [f"The end of {log}:", *lines])
        return text


def _ending(progress: Path) -> str:
    """How a training ended, by what it says itself."""
    try:
        said = json.loads(progress.read_bytes())
        status, step, nll = said["status"], said["step"], said["valid_nll"]
    except (OSError, ValueError, KeyError, TypeError):
        return "is trained"
    if status not in ("finished", "diverged"):
        return "is trained"
    told = "" if nll is None else f", valid NLL {nll_text(nll)} {said.get('unit', '')}"
    return f"{status} after {counted(step, 'step')}{told}"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M")
