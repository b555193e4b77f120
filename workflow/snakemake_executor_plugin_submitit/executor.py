"""The executor: submits what is ready, notices what ended, resubmits what was interrupted."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import ApiError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.real import RealExecutor
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.utils import format_cli_arg

from snakemake_executor_plugin_submitit import report, status
from snakemake_executor_plugin_submitit.ledger import Entry, Ledger, job_fingerprint, job_key
from snakemake_executor_plugin_submitit.resources import (
    ResourceError,
    asked_for,
    evaluated_resources,
    submission_parameters,
)
from snakemake_executor_plugin_submitit.results import Results, array_id
from snakemake_executor_plugin_submitit.runner import LOCAL_SIGNAL_DELAY_S, JobRunner, Outcome
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.submission import (
    LimitReached,
    Refused,
    SlurmAway,
    SubmissionError,
    cancel,
    missing_command,
    refusal,
    submit,
)

SUBMISSION_TRIES = 8  # with pauses of 1, 2, 4, ... s between them: two minutes in all
LONGEST_PAUSE_S = 60.0
DEATH_CONFIRMED_POLLS = 3  # requeued jobs and restarted controllers look dead for a moment
DEATH_CONFIRMED_S = 8.0
UNCONFIRMED_FAILURE_S = 30.0
NOT_THE_JOBS_FAULT = {"BOOT_FAIL", "NODE_FAIL", "PREEMPTED", "UNKNOWN"}
SIGNALLED_TOO_EARLY = {f"0:{signal.SIGUSR2:d}", f"{128 + signal.SIGUSR2}:0"}  # by SIGUSR2
WAITS_FOR_SOMEBODY = {"PartitionTimeLimit", "BadConstraints", "JobHeldAdmin", "JobHeldUser"}
# Of a SLURM job that Snakemake itself runs in; the rest is about that job, not about the next one.
KEPT_VARIABLES = {"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"}


@dataclass(eq=False)
class Request:
    """A job of Snakemake's, to be submitted."""

    job: JobExecutorInterface
    key: str
    fingerprint: str
    parameters: dict[str, Any]
    command: str
    restarts: int = 0  # submissions before this one
    previous: Entry | None = None  # the last of them
    pause: status.Backoff = field(default_factory=lambda: status.Backoff(LONGEST_PAUSE_S))

    @property
    def group(self) -> str:
        """Requests of the same group are submitted as one array."""
        return json.dumps(self.parameters, sort_keys=True)


@dataclass(eq=False)
class Submitted:
    """A job that the cluster has."""

    request: Request
    entry: Entry
    info: SubmittedJobInfo
    debug_job: Any = None  # submitit's, where it runs in this process
    outcome: Outcome | None = None  # a failure that SLURM has not confirmed yet
    bad_polls: int = 0
    bad_since: float = 0.0


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Runs Snakemake's jobs as resumable jobs of submitit."""

    _is_ready = False  # Snakemake polls from before __post_init__ on

    def __post_init__(self) -> None:
        self.settings: ExecutorSettings = self.workflow.executor_settings
        self.on_slurm = self.settings.cluster == "slurm"
        home = Path(".snakemake/submitit").absolute() / self.settings.cluster
        self.results = Results(home / "jobs")
        self.ledger = Ledger(home / "ledger.jsonl")
        self.array_limit = 1000
        self._started = time.time()
        self._requests: list[Request] = []
        self._submitted: dict[str, Submitted] = {}  # by job id
        self._lock = threading.Lock()  # of the ledger and the two above
        self._room = status.Backoff(LONGEST_PAUSE_S)  # in the queue
        self._query = status.Backoff(LONGEST_PAUSE_S)
        self._states: dict[str, status.QueuedState] | None = None
        self._wake = threading.Event()
        self._is_cancelled = False
        self._warned: set[str] = set()
        if self.on_slurm:
            _leave_outer_job()
            self._check_slurm()
        self._check_jobs()
        self._forget_what_is_done()
        self._is_ready = True

    # --- Before anything is submitted -----------------------------------------------------------

    def _check_slurm(self) -> None:
        if command := missing_command():
            raise ApiError(
                f"{command} is not on PATH: run this on a login node of the cluster, "
                "or try it out with --submitit-cluster local"
            )
        with contextlib.suppress(status.QueryError, KeyError, ValueError):
            self.array_limit = int(status.slurm_configuration()["MaxArraySize"])

    def _check_jobs(self) -> None:
        """Raise ApiError, a line for each mistake in the resources of the jobs to come."""
        problems: list[str] = []
        rules: dict[str, set[str]] = {}  # by their parameters
        for job in self.dag.needrun_jobs():
            try:
                if job.is_local:
                    evaluated_resources(job)
                else:
                    parameters = submission_parameters(job, self.settings)
                    rules.setdefault(json.dumps(parameters, sort_keys=True), set()).add(job.name)
            except ResourceError as error:
                problems.append(str(error))
        refused: dict[
            str, tuple[str, set[str]]
        ] = {}  # what was asked and by whom, by SLURM's words
        for text, names in rules.items() if self.on_slurm else ():
            if answer := refusal(self.results.folder, json.loads(text)):
                refused.setdefault(answer, (asked_for(json.loads(text)), set()))[1].update(names)
        for answer, (asked, names) in refused.items():
            problems.append(f"rule {', '.join(sorted(names))}: SLURM refuses {asked}: {answer}")
        if problems:
            raise ApiError("\n".join(dict.fromkeys(problems)))

    def _forget_what_is_done(self) -> None:
        """Drop jobs that ended while no head was there and whose outputs Snakemake accepts."""
        needed = {job_key(job) for job in self.dag.needrun_jobs()}
        done = [e for e in self.ledger if e.key not in needed and self.results.get(e.job_id)]
        jobs = {job_key(job): job for job in self.dag.jobs} if done else {}
        for entry in done:
            if (job := jobs.get(entry.key)) and job_fingerprint(job) == entry.fingerprint:
                # The job's Snakemake does not record what it ran with: the head does.
                self.workflow.async_run(self.workflow.persistence.finished(job))
        self.ledger.drop(entry.key for entry in done)
        for entry in done:
            self._remove_files(entry)

    # --- Submission -----------------------------------------------------------------------------

    def run_jobs(self, jobs: list[JobExecutorInterface]) -> None:
        """Take jobs over from the scheduler; they are submitted by the thread that polls.

        There, Ctrl-C cannot come between a submission and its record.
        """
        requests = []
        for job in jobs:
            self.run_job_pre(job)
            try:
                requests.append(
                    Request(
                        job=job,
                        key=job_key(job),
                        fingerprint=job_fingerprint(job),
                        parameters=submission_parameters(job, self.settings),
                        command=self.format_job_exec(job),
                    )
                )
            except ResourceError as error:
                self.report_job_error(SubmittedJobInfo(job), msg=str(error))
        with self._lock:
            self._requests += requests
        self._wake.set()

    def run_job(self, job: JobExecutorInterface) -> None:
        """Run one job."""
        self.run_jobs([job])

    def get_job_args(self, job: JobExecutorInterface, **kwargs: Any) -> str:
        """The arguments of the Snakemake on the node.

        It waits for the inputs, but not for the head's own temporary folder, as it does by
        default: that disappears with the head, and the job would fail when it is requeued.
        """
        files = sorted({str(path) for path in job.get_wait_for_files()})
        if len(files) > 20:
            listing = self.results.inputs(job_key(job))
            listing.write_text("\n".join(files) + "\n")
            wait = format_cli_arg("--wait-for-files-file", str(listing))
        else:
            wait = format_cli_arg("--wait-for-files", files)
        # The job's threads, not the node's cores.
        return f"{RealExecutor.get_job_args(self, job, cores=job.threads)} {wait}"

    def _submit_requests(self) -> None:
        due = [request for request in self._requests if request.pause.is_due]
        new = [request for request in due if not self._is_found_again(request)]
        new.sort(key=lambda request: request.group)
        for _, group in groupby(new, key=lambda request: request.group):
            members = list(group)
            for start in range(0, len(members), self.array_limit):
                self._submit(members[start : start + self.array_limit])

    def _submit(self, requests: list[Request]) -> None:
        if not self._room.is_due:
            return
        names = sorted({request.job.name for request in requests})
        try:
            jobs = submit(
                self.results.folder,
                self.settings.cluster,
                names[0] if len(names) == 1 else "snakemake",
                requests[0].parameters,
                [self._runner(request) for request in requests],
                self.settings.array_parallelism,
            )
        except LimitReached as error:
            if len(requests) == 1:
                self._room.failed()
                self._warn(f"waiting until SLURM takes more jobs: {error}")
            else:  # there may be room for a part
                half = len(requests) // 2
                self._submit(requests[:half])
                self._submit(requests[half:])
            return
        except SubmissionError as error:
            for request in requests:
                request.pause.failed()
                final = isinstance(error, Refused) or request.pause.failures >= SUBMISSION_TRIES
                if final and not isinstance(error, SlurmAway):
                    self._requests.remove(request)
                    info = SubmittedJobInfo(request.job)
                    self.report_job_error(info, msg=f"not submitted: {error}")
            if requests[0] in self._requests:
                self._warn(f"submission failed, trying again: {error}")
            return
        self._room.succeeded()
        entries = [
            Entry(
                key=request.key,
                job_id=job.job_id,
                fingerprint=request.fingerprint,
                restarts=request.restarts,
            )
            for request, job in zip(requests, jobs, strict=True)
        ]
        self.ledger.put(entries)
        for request, entry, job in zip(requests, entries, jobs, strict=True):
            if request.previous is not None:
                self._remove_files(request.previous)
            self._watch(request, entry, register=True, debug_job=job)
        job_id = entries[0].job_id if len(jobs) == 1 else f"array {array_id(entries[0].job_id)}"
        self.logger.info(f"Submitted {len(jobs)} x {', '.join(names)} as {job_id}.")

    def _runner(self, request: Request) -> JobRunner:
        return JobRunner(
            command=request.command,
            key=request.key,
            ledger=None if self.settings.cluster == "debug" else self.ledger.path,
            time_limit_s=60.0 * request.parameters["timeout_min"],
            signal_delay_s=request.parameters.get("slurm_signal_delay_s", LOCAL_SIGNAL_DELAY_S),
            requeue_limit=self.settings.requeue_limit,
            earlier_restarts=request.restarts,
        )

    def _watch(
        self, request: Request, entry: Entry, *, register: bool, debug_job: Any = None
    ) -> None:
        info = SubmittedJobInfo(request.job, external_jobid=entry.job_id)
        self._requests.remove(request)
        self._submitted[entry.job_id] = Submitted(request, entry, info, debug_job)
        # Outputs are marked as incomplete when a job starts, not when it is found again.
        self.report_job_submission(info, register_job=register)

    # --- A head that died before ----------------------------------------------------------------

    def _is_found_again(self, request: Request) -> bool:
        """Whether the job need not be submitted: an earlier head's makes its outputs, or did."""
        entry = self.ledger.get(request.key)
        if entry is None:
            return False
        request.restarts = max(request.restarts, entry.restarts)
        request.previous = entry
        is_same = entry.fingerprint == request.fingerprint and not entry.cancelled
        outcome = self.results.get(entry.job_id)
        if outcome is not None:
            if is_same and outcome.status == "done" and self._is_accepted(request, entry):
                self.logger.info(f"Job {entry.job_id} has made {', '.join(request.job.output)}.")
                self._watch(request, entry, register=False)
                return True
            return False
        if self._states is None:
            return True  # not known yet: never two jobs for the same outputs
        if (state := self._states.get(entry.job_id)) is None or not state.is_alive:
            return False
        if is_same:
            self.logger.info(f"Job {entry.job_id} is found again: {', '.join(request.job.output)}.")
            self._watch(request, entry, register=False)
        else:  # it is about to end, or its parameters or inputs have changed since
            self._cancel([entry.job_id])
        return True

    def _is_accepted(self, request: Request, entry: Entry) -> bool:
        """Whether a finished job's outputs are there, and nobody asked to make them again."""
        if not all(Path(path).exists() for path in map(str, request.job.output)):
            return False
        members = request.job.jobs if request.job.is_group() else [request.job]
        is_forced = any(self.dag.reason(member).forced for member in members)
        return not is_forced or self.results.time(entry.job_id) > self._started

    # --- Polling --------------------------------------------------------------------------------

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Submit, look for results and for deaths; whatever fails is tried again."""
        if self._is_ready:
            try:
                self._poll()
            except Exception as error:
                self._warn(f"polling failed, trying again: {type(error).__name__}: {error}")
        for info in active_jobs:
            if not self._is_ready or info.external_jobid in self._submitted:
                yield info

    async def sleep(self) -> None:
        """Wait for the next poll, or for new jobs."""
        if self._is_ready:
            await asyncio.to_thread(self._wake.wait, self.next_seconds_between_status_checks)
            self._wake.clear()
        else:
            await asyncio.sleep(0.1)

    def _poll(self) -> None:
        if self.settings.cluster != "debug":
            # A Ctrl-C in the terminal is Snakemake's: not sbatch's, in the middle of a submission.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        is_fresh = self._query_states()
        with self._lock:
            if self._is_cancelled:
                return
            self._submit_requests()
            results = self.results.ids()
            ended = [
                e for e in list(self._submitted.values()) if self._has_ended(e, results, is_fresh)
            ]
            self.ledger.drop(item.entry.key for item in ended)

    def _query_states(self) -> bool:
        """Ask for the state of all jobs at once; whether an answer came."""
        with self._lock:
            ids = [*self._submitted, *(entry.job_id for entry in self.ledger)]
        if not ids or not self._query.is_due:
            return False
        if not self.on_slurm:
            self._states = status.local_states(ids)
            return True
        asked = time.monotonic()
        try:
            self._states = status.slurm_states()
        except status.QueryError as error:
            self._query.failed()
            self._warn(f"SLURM does not answer, trying again: {error}")
            return False
        if self._query.failures:
            self.logger.info("SLURM answers again.")
        self._query.succeeded(time.monotonic() - asked)
        return True

    def _has_ended(self, item: Submitted, results: set[str], is_fresh: bool) -> bool:
        """Whether a job is done or has failed; reports it, or resubmits it, if so."""
        job_id = item.entry.job_id
        if self.settings.cluster == "debug":
            item.outcome = item.debug_job.results()[0]
        elif item.outcome is None and job_id in results:
            item.outcome = self.results.get(job_id)
        state = (self._states or {}).get(job_id)
        if item.outcome is None:
            if is_fresh and self._is_dead(item, state):
                return self._bury(item, state)
            return False
        if item.outcome.status == "done":
            del self._submitted[job_id]
            self._remove_files(item.entry)
            self.report_job_success(item.info)
            return True
        if item.outcome.status == "interrupted":
            return self._resubmit(item, item.outcome.detail)
        # SLURM's view may tell why it failed: it is asked once the job is over.
        item.bad_since = item.bad_since or time.monotonic()
        is_over = is_fresh and (state is None or not state.is_alive)
        if (
            self.on_slurm
            and not is_over
            and time.monotonic() - item.bad_since < UNCONFIRMED_FAILURE_S
        ):
            return False
        self._fail(item, status.slurm_death(job_id, state) if self.on_slurm else status.Death())
        return True

    def _is_dead(self, item: Submitted, state: status.QueuedState | None) -> bool:
        """Whether a job without a result is gone for good, by several answers in a row."""
        if state is not None and state.is_alive:
            item.bad_polls = 0
            self._look_after(item, state)
            return False
        item.bad_since = item.bad_since if item.bad_polls else time.monotonic()
        item.bad_polls += 1
        patience_s = DEATH_CONFIRMED_S
        if state is None or state.state == "COMPLETED":  # the result may be on its way
            patience_s += self.workflow.execution_settings.latency_wait
        confirmed_s = time.monotonic() - item.bad_since
        return item.bad_polls >= DEATH_CONFIRMED_POLLS and confirmed_s >= patience_s

    def _look_after(self, item: Submitted, state: status.QueuedState) -> None:
        """Release a job that was requeued often, and warn of one that does not start by itself."""
        if state.reason == "JobHoldMaxRequeue":
            subprocess.run(["scontrol", "release", item.entry.job_id], check=False, timeout=60)
        elif state.reason in WAITS_FOR_SOMEBODY:
            self._warn(f"job {item.entry.job_id} ({item.request.job.name}) waits: {state.reason}")

    def _bury(self, item: Submitted, state: status.QueuedState | None) -> bool:
        """End a job that died without a result: in failure, or in another submission."""
        job_id = item.entry.job_id
        can_resume = self.results.can_resume(job_id)
        if not self.on_slurm:
            death = status.Death("GONE")
            is_to_resume = can_resume
        else:
            death = status.slurm_death(job_id, state)
            is_to_resume = (
                death.state in NOT_THE_JOBS_FAULT
                or (death.state == "TIMEOUT" and can_resume)
                or death.exit_code in SIGNALLED_TOO_EARLY
            )
        if is_to_resume:
            return self._resubmit(item, death.state)
        self._fail(item, death)
        return True

    def _resubmit(self, item: Submitted, why: str) -> bool:
        """Submit an interrupted job under a new id; False, as it goes on."""
        if item.entry.restarts >= self.settings.requeue_limit:
            item.outcome = Outcome("failed", f"resubmitted {item.entry.restarts} times; now: {why}")
            self._fail(item, status.Death())
            return True
        job_id = item.entry.job_id
        self._cancel([job_id])  # should SLURM have requeued it all the same
        del self._submitted[job_id]
        request = replace(
            item.request,
            restarts=item.entry.restarts + 1,
            pause=status.Backoff(LONGEST_PAUSE_S),
        )
        self._requests.append(request)
        self.logger.info(
            f"Job {job_id} ({request.job.name}) was interrupted ({why}): submitted anew."
        )
        self._wake.set()
        return False

    def _fail(self, item: Submitted, death: status.Death) -> None:
        job_log = self.results.log(item.entry.job_id)
        rule_logs = [str(path) for path in item.request.job.log]
        lines = [report.reason(item.outcome, death, job_log)]
        if not (rule_logs and self.workflow.output_settings.show_failed_logs):
            lines += report.log_tail(rule_logs, job_log)
        self._submitted.pop(item.entry.job_id, None)
        self.report_job_error(item.info, msg="\n        ".join(lines))

    def print_job_error(
        self, job_info: SubmittedJobInfo, msg: str | None = None, **kwargs: Any
    ) -> None:
        """Print why a job failed, and where to look further."""
        if job_info.external_jobid is not None:
            kwargs |= {
                "external_jobid": job_info.external_jobid,
                "job_log": self.results.log(job_info.external_jobid),
            }
        job_info.job.log_error(msg, **kwargs)

    # --- The end --------------------------------------------------------------------------------

    def cancel_jobs(self, active_jobs: Iterable[SubmittedJobInfo]) -> None:
        """Cancel all jobs; each saves its state first.

        While a poll is under way, Snakemake's own list of active jobs is empty: it is of no use.
        """
        self._is_cancelled = True
        with self._lock:
            items = list(self._submitted.values())
            self._requests.clear()
            self.ledger.put(replace(item.entry, cancelled=True) for item in items)
            self._cancel([item.entry.job_id for item in items])

    def shutdown(self) -> None:
        """Stop polling, at once."""
        if self._is_ready:
            self._is_cancelled = True
            self._wake.set()
        super().shutdown()

    def _cancel(self, job_ids: list[str]) -> None:
        if left := cancel(job_ids, on_slurm=self.on_slurm):
            self.logger.error(f"not cancelled, do it by hand: scancel {' '.join(left)}")

    def _remove_files(self, entry: Entry) -> None:
        self.results.remove(entry.job_id, entry.key, others=self._submitted)

    def _warn(self, message: str) -> None:
        """Warn, once per message."""
        if message not in self._warned:
            self._warned.add(message)
            self.logger.warning(f"submitit: {message}")


def _leave_outer_job() -> None:
    """Forget the SLURM job that Snakemake itself runs in: its variables would shape others."""
    os.environ.pop("SUBMITIT_PREEMPT_SIGNAL", None)
    if "SLURM_JOB_ID" in os.environ:
        for name in set(os.environ) - KEPT_VARIABLES:
            if name.startswith(("SLURM_", "SLURMD_", "SRUN_", "SUBMITIT_", "PMI", "CUDA_VISIBLE_")):
                del os.environ[name]
