"""What a person sees of a head's jobs: lines in the terminal, in the log, and the table of jobs."""

import contextlib
import logging
import os
from collections.abc import Collection
from pathlib import Path

from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_submitit import report, requeues
from snakemake_executor_plugin_submitit.naming import job_name
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState
from snakemake_executor_plugin_submitit.summary import Event, Events, Summary, counts
from snakemake_executor_plugin_submitit.table import Row, Table
from snakemake_executor_plugin_submitit.terminal import Budget, Terminal, put_on_terminals
from snakemake_executor_plugin_submitit.waiting import StuckJobs

FOLLOW = "python -m snakemake_executor_plugin_submitit.follow"


class Screen:
    """Says what concerns all jobs in the terminal, and what concerns one in Snakemake's log."""

    def __init__(self, logger: logging.Logger, folder: Path, total: int) -> None:
        self._logger = logger
        self._total = total
        self._table = Table(folder)
        self._names: dict[str, str] = {}  # by job id, as all below
        self._rule_logs: dict[str, str] = {}
        self._outputs: dict[str, Path] = {}
        self._restarts: dict[str, int] = {}
        self._failed: set[str] = set()
        self._stuck = StuckJobs()
        self._budget = Budget()
        self._events = Events(self._budget)
        self._summary = Summary()
        self._terminal = Terminal(self._budget, self._hide_failure)

    def be_brief(self) -> None:
        """Show no job's own lines in the terminal, if a log file has them; say which."""
        if file := put_on_terminals(self._logger, self._terminal):
            self._logger.info(f"Each job's own lines: {os.path.relpath(file)}")
            self._logger.info(f"What a job prints: {FOLLOW} JOB (its id or name; without: a list)")

    def watched(self, job_id: str, job: JobExecutorInterface, output: Path) -> None:
        """The cluster has this job from now on; what it prints comes into `output`."""
        self._names[job_id] = job_name(job)
        self._outputs[job_id] = output
        with contextlib.suppress(Exception):  # of Snakemake, about the rule's log
            self._rule_logs[job_id] = next(map(str, job.log), "")
        text = f"Job {job_id} is {self._names[job_id]}; it prints to {output}"
        self._logger.info(text, extra={"is_detail": True})

    def tell(self, job_id: str, what: str, reason: str = "", which: str = "") -> None:
        """Say what happened to a job, together with others that it happened to."""
        self._events.add(Event(job_id, self._names.get(job_id, ""), what, reason, which))

    def stuck(self, job_id: str, rule: str, reason: str) -> None:
        """A job waits for this reason, which time will not mend."""
        self._stuck.note(job_id, rule, reason)

    def failed(self, job_id: str) -> None:
        """A job has failed."""
        self._failed.add(job_id)

    def show(self, states: dict[str, QueuedState | None], unsubmitted: int) -> None:
        """Say what is new after a poll; the states are those of the jobs that are still watched."""
        for job_id, state in states.items():
            if state is not None and state.restarts is not None:
                self._tell_requeue(job_id, state.restarts)
            if state is not None and state.state == "RUNNING":
                self._stuck.forget(job_id)
        if self._stuck.has_news and self._budget.take():
            for message in self._stuck.messages():
                self._logger.warning(f"submitit: {message}")
        self._show_events()
        done = self._terminal.done or (0, self._total)
        text = counts(states.values(), unsubmitted, done, len(self._failed))
        if line := self._summary.line(text):
            self._logger.info(line)
        rows = [self._row(job_id, state) for job_id, state in states.items()]
        self._table.write(sorted(rows, key=lambda row: row.name))

    def close(self, jobs: Collection[str]) -> None:
        """Say what was kept back; tables stay for these jobs, which outlive their heads."""
        self._show_events(all_of_them=True)
        self._table.close(jobs)

    def _show_events(self, *, all_of_them: bool = False) -> None:
        for line in self._events.lines(all_of_them=all_of_them):
            self._logger.info(f"submitit: {line}")

    def _tell_requeue(self, job_id: str, restarts: int) -> None:
        """Tell that SLURM has restarted a job, if it has since the last poll."""
        before = self._restarts.setdefault(job_id, restarts)
        if restarts > before:
            self._restarts[job_id] = restarts
            reason = requeues.reason(report.end_of(self._outputs[job_id]), restarts)
            self.tell(job_id, "requeued", reason, requeues.times(restarts))

    def _row(self, job_id: str, state: QueuedState | None) -> Row:
        text = state.state if state else "UNKNOWN"
        log = self._rule_logs.get(job_id, "")
        return Row(job_id, text, self._names.get(job_id, ""), log, str(self._outputs[job_id]))

    def _hide_failure(self, job_id: str, rule: str, reason: str) -> None:
        self.tell(job_id, "failed", reason)
