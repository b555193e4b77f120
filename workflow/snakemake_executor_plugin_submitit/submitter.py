"""Submits requests as arrays, within the cluster's limits, and retries what may succeed later."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.internals import LOCAL_SIGNAL_DELAY_S
from snakemake_executor_plugin_submitit.jobs import Request
from snakemake_executor_plugin_submitit.ledger import Entry, Ledger, this_head
from snakemake_executor_plugin_submitit.naming import job_name
from snakemake_executor_plugin_submitit.notices import Notices
from snakemake_executor_plugin_submitit.results import Results
from snakemake_executor_plugin_submitit.room import Room
from snakemake_executor_plugin_submitit.runner import JobRunner
from snakemake_executor_plugin_submitit.sbatch_errors import (
    ArrayRefused,
    LimitReached,
    Refused,
    SubmissionError,
    Unavailable,
)
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.submission import submit

ASSUMED_ARRAY_LIMIT = 1000  # SLURM's default, while it does not answer
SUBMISSION_TRIES = 8  # with pauses of 1, 2, 4, ... s between them: two minutes in all


@dataclass(frozen=True)
class Taken:
    """A request that the cluster has accepted and the ledger has recorded."""

    request: Request
    entry: Entry
    job: Any  # submitit's


@dataclass(frozen=True)
class GivenUp:
    """A request that is not tried again."""

    request: Request
    error: SubmissionError


class Submitter:
    """Submits requests of equal parameters as one array, and records them in the ledger."""

    def __init__(
        self,
        settings: ExecutorSettings,
        results: Results,
        ledger: Ledger,
        array_limit: Callable[[], int | None],
        inform: Callable[[str], None],
        notices: Notices,
    ) -> None:
        self._settings = settings
        self._results = results
        self._ledger = ledger
        self._ask_array_limit = array_limit
        self._array_limit: int | None = None  # not known yet
        self._inform = inform
        self._notices = notices
        self._room = Room()
        self._unrecorded: set[str] = set()  # submissions that SLURM may have taken

    def sweep(self) -> None:
        """Remove what heads have left that were killed before they recorded a submission.

        If SLURM has jobs of these, they are cancelled before others are submitted.
        """
        with self._ledger.alone() as is_alone:
            recorded = {entry.submission for entry in self._ledger}
            swept = self._results.sweep(recorded, even_new=is_alone)
        if self._settings.cluster == "slurm":
            self._unrecorded |= swept

    def submit(self, requests: list[Request], in_queue: int) -> Iterator[Taken | GivenUp]:
        """Submit array by array; a request that is not yielded should be submitted again later.

        `in_queue` is how many of this head's jobs the cluster has.
        """
        self._room.in_queue = in_queue
        if self._unrecorded and not self._cancel_unrecorded():
            return
        ordered = sorted(requests, key=lambda request: request.group)
        for _, group in groupby(ordered, key=lambda request: request.group):
            members = list(group)
            taken: list[Taken] = []
            for answer in self._submit_arrays(members):
                yield answer
                if isinstance(answer, Taken):
                    taken.append(answer)
            if taken:
                self._inform(_summary(taken))

    def _cancel_unrecorded(self) -> bool:
        """Cancel jobs of which the ledger does not know; whether that is known to be done.

        They were submitted without sbatch saying so, or by a head that was killed before it wrote
        them down, and would end as nobody's as soon as they start.
        """
        try:
            found = slurm.jobs_of_submissions(self._unrecorded)
        except slurm.QueryError as error:
            self._notices.warn("submission", f"is a job submitted? SLURM does not answer: {error}")
            return False
        if found and slurm.cancel(found):
            return False
        if found:
            self._inform(f"Cancelled {', '.join(found)}: submitted, but not recorded.")
        self._unrecorded.clear()
        return True

    def _submit_arrays(self, requests: list[Request]) -> Iterator[Taken | GivenUp]:
        """Submit requests of equal parameters, cut into as few arrays as the site allows."""
        while requests and (size := self._room.for_jobs(len(requests))):
            if size > 1:
                size = min(size, self._current_array_limit())
            is_full = yield from self._submit_array(requests[:size])
            if not is_full:
                requests = requests[size:]

    def _current_array_limit(self) -> int:
        if self._array_limit is None:
            self._array_limit = self._ask_array_limit()
        return self._array_limit or ASSUMED_ARRAY_LIMIT

    def _submit_array(self, requests: list[Request]) -> Generator[Taken | GivenUp, None, bool]:
        """Submit an array; returns whether the queue was too full for it."""
        try:
            taken = self._submit_and_record(requests)
        except LimitReached as error:
            self._room.refused(len(requests))
            if self._room.is_full:
                self._notices.warn("room", f"waiting until SLURM takes more jobs: {error}")
            return True
        except ArrayRefused as error:
            if len(requests) == 1:
                yield from self._after_failure(requests, error)
            else:  # the limit is not what it was, or was not known
                limit = self._ask_array_limit() or 1
                self._array_limit = limit if limit < len(requests) else 1
                yield from self._submit_arrays(requests)
            return False
        except SubmissionError as error:
            yield from self._after_failure(requests, error)
            return False
        self._room.taken(len(requests))
        self._notices.settled("submission")
        yield from taken
        return False

    def _submit_and_record(self, requests: list[Request]) -> list[Taken]:
        """Submit an array and write it down; raises SubmissionError."""
        names = sorted({request.job.name for request in requests})
        with self._ledger.submitting():
            submission, jobs = submit(
                self._results.folder,
                self._settings.cluster,
                names[0] if len(names) == 1 else "snakemake",
                requests[0].parameters,
                [self._runner(request) for request in requests],
                self._settings.array_parallelism,
            )
            entries = [
                Entry(
                    key=request.key,
                    job_id=job.job_id,
                    submission=submission,
                    fingerprint=request.fingerprint,
                    restarts=request.restarts,
                    unexplained=request.unexplained,
                    head=this_head(),
                )
                for request, job in zip(requests, jobs, strict=True)
            ]
            self._ledger.put(entries)
        return [Taken(*taken) for taken in zip(requests, entries, jobs, strict=True)]

    def _after_failure(self, requests: list[Request], error: SubmissionError) -> Iterator[GivenUp]:
        if error.submission is not None:
            self._unrecorded.add(error.submission)
        has_more_tries = []
        for request in requests:
            request.pause.failed()
            is_used_up = request.pause.failures >= SUBMISSION_TRIES
            if isinstance(error, Refused) or (is_used_up and not isinstance(error, Unavailable)):
                yield GivenUp(request, error)
            else:
                has_more_tries.append(request)
        if has_more_tries:
            self._notices.warn("submission", f"submission failed, trying again: {error}")

    def _runner(self, request: Request) -> JobRunner:
        return JobRunner(
            command=request.command,
            key=request.key,
            ledger=None if self._settings.cluster == "debug" else self._ledger.path,
            time_limit_s=60.0 * request.parameters["timeout_min"],
            signal_delay_s=request.parameters.get("slurm_signal_delay_s", LOCAL_SIGNAL_DELAY_S),
            requeue_limit=request.requeue_limit(self._settings.requeue_limit),
            earlier_restarts=request.restarts,
            name=job_name(request.job),
        )


def array_id(job_id: str) -> str:
    """`12` of `12_3`, and of `12`."""
    return job_id.partition("_")[0]


def _summary(taken: list[Taken]) -> str:
    """What was submitted, on one line however many arrays it became."""
    names = ", ".join(sorted({answer.request.job.name for answer in taken}))
    ids = [answer.entry.job_id for answer in taken]
    arrays = list(dict.fromkeys(map(array_id, ids)))
    if len(ids) == 1:
        where = ids[0]
    elif len(arrays) == 1:
        where = f"array {arrays[0]}"
    elif len(arrays) == len(ids):
        where = f"single jobs {arrays[0]} to {arrays[-1]}"
    else:
        where = f"arrays {', '.join(arrays)}"
    return f"Submitted {len(ids)} x {names} as {where}."
