"""The executor: what Snakemake calls, and the poll that submits, watches and resubmits jobs."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import ApiError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface
from snakemake_interface_executor_plugins.utils import format_cli_arg

from snakemake_executor_plugin_submitit import (
    decision,
    internals,
    local_jobs,
    preflight,
    report,
    slurm,
)
from snakemake_executor_plugin_submitit.departing import Departing
from snakemake_executor_plugin_submitit.identity import job_fingerprint, job_key, members
from snakemake_executor_plugin_submitit.jobs import Request, Submitted
from snakemake_executor_plugin_submitit.ledger import Entry, Ledger, recorded_jobs, this_head
from snakemake_executor_plugin_submitit.notices import Notices
from snakemake_executor_plugin_submitit.queue_view import QueueView
from snakemake_executor_plugin_submitit.resources import (
    ResourceError,
    may_requeue,
    submission_parameters,
)
from snakemake_executor_plugin_submitit.results import Results
from snakemake_executor_plugin_submitit.screen import Screen
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.signals import without_ctrl_c
from snakemake_executor_plugin_submitit.slurm_answers import Ending, QueuedState
from snakemake_executor_plugin_submitit.submitter import GivenUp, Submitter, Taken

WAIT_FILES_ON_COMMAND_LINE = 20  # of more than these, the command line names a list


class Executor(RemoteExecutor):  # type: ignore[misc]
    """Runs Snakemake's jobs as resumable jobs of submitit."""

    _is_ready = False  # Snakemake polls from before __post_init__ on
    _wake = threading.Event()

    def __post_init__(self) -> None:
        try:
            self._prepare()
        except (ApiError, SystemExit):
            super().shutdown()  # or the thread that polls ends with a line on stdout
            raise

    def _prepare(self) -> None:
        self.settings: ExecutorSettings = self.workflow.executor_settings
        self.on_slurm = self.settings.cluster == "slurm"
        home = Path(".snakemake/submitit").absolute() / self.settings.cluster
        self.results = Results(home / "jobs")
        self.ledger = Ledger(home / "ledger.jsonl")
        self._started = time.time()
        self._requests: list[Request] = []
        self._submitted: dict[str, Submitted] = {}  # by job id
        self._departing = Departing()
        self._lock = threading.Lock()  # of the ledger and the two above
        self._is_cancelled = False
        inform, warn = self.logger.info, self.logger.warning
        self._notices = Notices(warn)
        self._queue = QueueView(on_slurm=self.on_slurm, inform=inform, notices=self._notices)
        if self.on_slurm:
            preflight.leave_outer_job()
            preflight.check_slurm()
        array_limit = slurm.array_limit if self.on_slurm else lambda: None
        self._submitter = Submitter(
            self.settings, self.results, self.ledger, array_limit, inform, self._notices
        )
        self._submitter.sweep()
        needed = internals.needed_jobs(self.dag)
        self._default_time = slurm.DefaultTimes()
        preflight.check_jobs(needed, self.settings, self.results.folder, self._default_time, warn)
        self._screen = Screen(self.logger, home, len(needed))
        in_this_process = self.settings.cluster == "debug"
        self._ctrl_c = contextlib.nullcontext if in_this_process else without_ctrl_c
        if not (in_this_process or internals.is_verbose(self.workflow)):
            self._screen.be_brief()
        self._forget_what_is_done(needed)
        self._is_ready = True

    def _forget_what_is_done(self, needed: list[JobExecutorInterface]) -> None:
        """Drop jobs that ended while no head was running, if Snakemake accepts their outputs."""
        keys = {job_key(job) for job in needed}
        not_needed = [entry for entry in self.ledger if entry.key not in keys]
        if not not_needed:
            return
        jobs = {job_key(job): job for job in internals.all_jobs(self.dag)}
        done = [entry for entry in not_needed if self.results.get(entry)]
        for entry in done:
            if (job := jobs.get(entry.key)) and job_fingerprint(job) == entry.fingerprint:
                # The Snakemake on the node leaves this to the head.
                internals.record_as_finished(self.workflow, job)
        # Killed when its outputs were there, but not its result.  Others are another study's, or of
        # a rule that is left out since what it makes is there.
        left = [entry for entry in not_needed if entry not in done]
        gone = [entry for entry in left if entry.key in jobs or entry.is_abandoned]
        if gone and self._queue.ask([entry.job_id for entry in gone]):
            states = {entry: self._state(entry) for entry in gone}
            done += [entry for entry, state in states.items() if not (state and state.is_alive)]
        self.ledger.drop(entry.key for entry in done)
        for entry in done:
            self._remove_files(entry)

    # --- Jobs that are ready --------------------------------------------------------------------

    def run_jobs(self, jobs: list[JobExecutorInterface]) -> None:
        """Take jobs over from the scheduler; the polling thread submits them.

        In that thread, Ctrl-C cannot come between a submission and its record.
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
                        parameters=submission_parameters(job, self.settings, self._default_time),
                        command=self.format_job_exec(job),
                        may_requeue=may_requeue(job),
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
        """The arguments of the Snakemake on the node, which waits for the job's inputs."""
        files = sorted({str(path) for path in job.get_wait_for_files()})
        if len(files) <= WAIT_FILES_ON_COMMAND_LINE:
            wait = format_cli_arg("--wait-for-files", files)
        else:
            listing = self.results.list_inputs(job_key(job), files)
            wait = format_cli_arg("--wait-for-files-file", listing)
        return f"{internals.node_arguments(self, job)} {wait}"

    def _submit_requests(self) -> None:
        new = []
        for request in [request for request in self._requests if request.pause.is_due]:
            with self._notices.surviving(f"submitting {request.job.name}"):
                if not self._is_left_to_earlier(request):
                    new.append(request)
        for answer in self._submitter.submit(new, in_queue=len(self._submitted)):
            match answer:
                case Taken(request, entry, job):
                    if request.previous is not None:
                        self._remove_files(request.previous)
                    self._watch(request, entry, register=True, debug_job=job)
                case GivenUp(request, error):
                    self._requests.remove(request)
                    why = f"not submitted: {error}"
                    self.report_job_error(SubmittedJobInfo(request.job), msg=why)
            if self._is_cancelled:
                break

    def _give_up_requests(self) -> None:
        """Have Snakemake, which was told to stop, not wait for jobs that could not be submitted."""
        why = "not submitted: Snakemake was told to stop"
        for request in self._requests:
            self.report_job_error(SubmittedJobInfo(request.job), msg=why)
        self._requests.clear()

    def _is_left_to_earlier(self, request: Request) -> bool:
        """Whether there is nothing to submit now, because an earlier job makes the outputs."""
        if (entry := self.ledger.get(request.key)) is None:
            return False
        request.restarts = max(request.restarts, entry.restarts)
        request.unexplained = max(request.unexplained, entry.unexplained)
        request.previous = entry
        match decision.succession(self._earlier(request, entry)):
            case decision.Succession.SUBMIT:
                return False
            case (decision.Succession.ACCEPT | decision.Succession.ADOPT) as what:
                entry = replace(entry, head=this_head())
                self.ledger.put([entry])
                self._watch(request, entry, register=False)
                was_done = what is decision.Succession.ACCEPT
                self._screen.tell(entry.job_id, "found done" if was_done else "found again")
            case decision.Succession.CANCEL:
                self._cancel([entry])
        return True

    def _earlier(self, request: Request, entry: Entry) -> decision.Earlier:
        state = self._state(entry)
        outcome = decision.of_newest_start(self.results.get(entry), state)
        is_done = outcome is not None and outcome.status == "done"
        return decision.Earlier(
            is_same=entry.fingerprint == request.fingerprint,
            is_cancelled=entry.cancelled,
            outcome=outcome,
            has_outputs=is_done and all(Path(str(path)).exists() for path in request.job.output),
            is_forced=is_done
            and any(internals.is_forced(self.dag, member) for member in members(request.job)),
            is_done_since_start=is_done and self.results.time(entry) > self._started,
            is_answered=self._queue.has_answered,
            state=state,
        )

    def _watch(
        self, request: Request, entry: Entry, *, register: bool, debug_job: Any = None
    ) -> None:
        info = SubmittedJobInfo(request.job, external_jobid=entry.job_id)
        self._requests.remove(request)
        self._submitted[entry.job_id] = Submitted(request, entry, info, debug_job)
        self._screen.watched(entry.job_id, request.job, self.results.log(entry))
        # Outputs are marked as incomplete when a job starts, not when it is found again.
        self.report_job_submission(info, register_job=register)

    # --- The poll -------------------------------------------------------------------------------

    async def check_active_jobs(
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Submit what is ready and find what has ended; a poll that fails is tried again."""
        if self._is_ready:
            with self._notices.surviving("polling"), self._ctrl_c():
                self._poll()
        for info in active_jobs:
            if not self._is_ready or info.external_jobid in self._submitted:
                yield info

    async def sleep(self) -> None:
        """Wait for the next poll, or for new jobs."""
        seconds = self.next_seconds_between_status_checks if self._is_ready else 0.1
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._wake.is_set():
            await asyncio.sleep(0.1)  # no thread waits: none may begin as Snakemake ends
        self._wake.clear()

    def _poll(self) -> None:
        with self._lock:
            ids = [*self._submitted, *self._departing, *(entry.job_id for entry in self.ledger)]
        is_answered = self._queue.ask(ids)
        with self._lock:
            if self._is_cancelled:
                return
            self.results.look()
            with self._notices.surviving("submitting"):
                self._submit_requests()
            if internals.is_told_to_stop(self.workflow):
                self._give_up_requests()
            ended = []
            for item in list(self._submitted.values()):
                with self._notices.surviving(f"looking after job {item.entry.job_id}"):
                    if self._has_ended(item, is_answered=is_answered):
                        ended.append(item)
            with self._notices.surviving("telling how jobs are"):
                states = {id_: self._state(item.entry) for id_, item in self._submitted.items()}
                self._screen.show(states, len(self._requests))
            # A job that failed stays recorded: its successor removes its files.
            failed = [item.entry for item in ended if item.has_failed]
            self.ledger.put(replace(e, cancelled=True, restarts=0, unexplained=0) for e in failed)
            self.ledger.drop(item.entry.key for item in ended if not item.has_failed)
            if is_answered:
                self._cancel(self._departing.overdue(self._state, time.monotonic()))

    def _state(self, entry: Entry) -> QueuedState | None:
        return decision.own_state(self._queue.state(entry.job_id), entry.submission)

    def _has_ended(self, item: Submitted, *, is_answered: bool) -> bool:
        """Decide about one job and act on it; whether the job has ended."""
        job_id = item.entry.job_id
        state = self._state(item.entry)
        if self.settings.cluster == "debug":
            item.outcome = item.debug_job.results()[0]
        else:
            item.outcome = decision.of_newest_start(self.results.get(item.entry), state)
        now = time.monotonic()
        item.note(state, is_answered=is_answered, now=now)
        if self.on_slurm and is_answered and item.has_just_failed(state):
            item.first_ending = slurm.ending(job_id, state)
        facts = decision.Facts(
            on_slurm=self.on_slurm,
            outcome=item.outcome,
            is_answered=is_answered,
            state=state,
            ended_answers=item.ended_answers,
            doubtful_s=item.doubtful_s(now),
            latency_wait_s=self.workflow.execution_settings.latency_wait,
            restarts=item.restarts,
            submissions_before=item.entry.restarts,
            unexplained_before=item.entry.unexplained,
            requeue_limit=item.request.requeue_limit(self.settings.requeue_limit),
        )
        return self._act(item, facts)

    def _act(self, item: Submitted, facts: decision.Facts) -> bool:
        """Act on the decision about a job; whether the job has ended."""
        match decision.decide(facts):
            case decision.AskHowItEnded():
                how = self._how_it_ended(item, facts)
                return self._act(item, replace(facts, how_it_ended=how))
            case decision.Done():
                self._departing.add(item, facts.state, time.monotonic())
                self._remove_files(item.entry)
                self.report_job_success(item.info)
                del self._submitted[item.entry.job_id]
                return True
            case decision.Fail(reason):
                self._departing.add(item, facts.state, time.monotonic())
                self._fail(item, reason)
                return True
            case decision.Resubmit(reason, unexplained):
                self._resubmit(item, reason, unexplained)
            case decision.Release():
                slurm.release(item.entry.job_id)
            case decision.Warn(reason):
                self._screen.stuck(item.entry.job_id, item.request.job.name, reason)
        return False

    def _how_it_ended(self, item: Submitted, facts: decision.Facts) -> decision.HowItEnded:
        job_id = item.entry.job_id
        ending = slurm.ending(job_id, facts.state) if self.on_slurm else Ending("GONE")
        return decision.HowItEnded(
            ending=item.first_ending if ending.state == "UNKNOWN" else ending,
            can_resume=self.results.can_resume(item.entry),
            log_end=report.end_of(self.results.log(item.entry)),
        )

    def _resubmit(self, item: Submitted, reason: str, unexplained: int) -> None:
        """Have an interrupted job submitted under a new id, at the next poll."""
        job_id = item.entry.job_id
        self._cancel([item.entry])  # in case SLURM has requeued it nevertheless
        del self._submitted[job_id]
        self._requests.append(item.again(unexplained))
        self._screen.tell(job_id, "interrupted and submitted again", reason)
        self._wake.set()

    def _fail(self, item: Submitted, reason: str) -> None:
        lines = [reason]
        rule_logs = [str(path) for path in item.request.job.log]
        if reason.startswith(report.SETUP):  # the rule's log is of an earlier start
            rule_logs = []
        if not (rule_logs and internals.shows_failed_logs(self.workflow)):
            lines += report.log_tail(rule_logs, self.results.log(item.entry))
        item.has_failed = True
        self._screen.failed(item.entry.job_id)
        self.report_job_error(item.info, msg="\n        ".join(lines))
        del self._submitted[item.entry.job_id]

    def print_job_error(
        self, job_info: SubmittedJobInfo, msg: str | None = None, **kwargs: Any
    ) -> None:
        """Print why a job failed, and where to look further."""
        if item := self._submitted.get(job_info.external_jobid or ""):
            log = self.results.log(item.entry)
            kwargs |= {"external_jobid": item.entry.job_id, "job_log": log}
        job_info.job.log_error(msg, **kwargs)

    # --- The end --------------------------------------------------------------------------------

    def cancel_jobs(self, active_jobs: Iterable[SubmittedJobInfo]) -> None:
        """Cancel all jobs; each saves its state first.

        Snakemake's own list of active jobs is of no use: it is empty while a poll is under way.
        """
        self._is_cancelled = True
        with self._lock:
            items = list(self._submitted.values())
            self._requests.clear()
            self.ledger.put(replace(item.entry, cancelled=True) for item in items)
            self._cancel([item.entry for item in items])
            self._departing.clear()

    def shutdown(self) -> None:
        """Stop polling, at once."""
        if self._is_ready:
            self._is_cancelled = True
            self._wake.set()
            with self._lock:  # a poll that is under way tells its last first
                self._screen.close(recorded_jobs(self.ledger.path))
                self._cancel(self._departing.left_at_the_end() if self.on_slurm else [])
        super().shutdown()

    def _cancel(self, entries: list[Entry]) -> None:
        # Not what has been given the id since.
        others = [e for e in entries if self._queue.state(e.job_id) and not self._state(e)]
        job_ids = [entry.job_id for entry in entries if entry not in others]
        if not self.on_slurm:
            local_jobs.cancel(job_ids)
        elif left := slurm.cancel(job_ids):
            self.logger.error(f"not cancelled, do it by hand: scancel {' '.join(left)}")

    def _remove_files(self, entry: Entry) -> None:
        try:
            items = [item for item in self._submitted.values() if item.entry != entry]
            self.results.remove(entry, {item.entry.submission for item in items})
        except OSError as error:  # what is left lies in nobody's way
            self._notices.warn("files", f"files of job {entry.job_id} stay: {error}")
