"""Jobs that have ended for the head, until SLURM shows them as ended, too."""

import time
from collections.abc import Callable, Iterator

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.decision import own_state
from snakemake_executor_plugin_submitit.jobs import Submitted
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState

# A job takes a moment from its record to its end; one on a node that was cut off is requeued.
LEAVE_S = 30.0
LEAVE_AT_THE_END_S = 5.0
POLL_S = 0.5


class Departing:
    """What is to be cancelled if it does not go by itself."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[Entry, float]] = {}  # and when its time is over

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._jobs))

    def add(self, item: Submitted, state: QueuedState | None, now: float) -> None:
        """A job was accepted, or has failed; one that failed gets no more time."""
        if state is not None and state.is_alive:
            is_done = item.outcome is not None and item.outcome.status == "done"
            self._jobs[item.entry.job_id] = item.entry, now + LEAVE_S * is_done

    def clear(self) -> None:
        """All jobs have been cancelled."""
        self._jobs.clear()

    def overdue(self, state_of: Callable[[Entry], QueuedState | None], now: float) -> list[Entry]:
        """The jobs to cancel: requeued, or not gone in time. They are forgotten, as those gone."""
        left = []
        for job_id, (entry, deadline) in list(self._jobs.items()):
            state = state_of(entry)
            if state is None or not state.is_alive:
                del self._jobs[job_id]
            elif state.state == "PENDING" or now >= deadline:
                left.append(entry)
                del self._jobs[job_id]
        return left

    def left_at_the_end(self) -> list[Entry]:
        """The jobs to cancel as the head ends, which waits a moment for them."""
        deadline = time.monotonic() + LEAVE_AT_THE_END_S
        while self._jobs and time.monotonic() < deadline:
            try:
                states = slurm.queued_states()
            except slurm.QueryError:
                return []  # a start to come finds itself unwanted
            for job_id, (entry, _) in list(self._jobs.items()):
                state = own_state(states.get(job_id), entry.submission)
                if state is None or not state.is_alive or state.state == "COMPLETING":
                    del self._jobs[job_id]
            if self._jobs:
                time.sleep(POLL_S)
        return [entry for entry, _ in self._jobs.values()]
