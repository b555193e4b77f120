"""The jobs of one head: those waiting to be submitted, and those that the cluster has."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.jobs import JobExecutorInterface

from snakemake_executor_plugin_submitit.backoff import Backoff
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.slurm_answers import Ending, QueuedState


@dataclass(eq=False)
class Request:
    """A Snakemake job that is waiting to be submitted."""

    job: JobExecutorInterface
    key: str
    fingerprint: str
    parameters: dict[str, Any]
    command: str
    may_requeue: bool = True
    restarts: int = 0  # submissions before this one
    unexplained: int = 0  # of these, the last ones that ended and nobody knew why
    previous: Entry | None = None  # the last of them
    pause: Backoff = field(default_factory=Backoff)

    def requeue_limit(self, limit: int) -> int:
        """How often it may be requeued, where others may be as often as `limit`."""
        return limit if self.may_requeue else 0

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
    outcome: Outcome | None = None
    restarts: int = 0  # how often SLURM has started it again
    ended_answers: int = 0  # how many answers in a row showed it as ended, or not at all
    first_ending: Ending = field(default_factory=Ending)  # as SLURM had it at the first of these
    has_failed: bool = False
    doubtful_since: float = 0.0  # time of the first of these, or of reading its failure; 0: none

    def note(self, state: QueuedState | None, *, is_answered: bool, now: float) -> None:
        """Record what a poll showed: the job's state, if an answer came, or its failure."""
        if state is not None:
            self.restarts = max(self.restarts, state.restarts or 0)
        if self.outcome is not None:
            self.doubtful_since = self.doubtful_since or now
        elif is_answered and state is not None and state.is_alive:
            self.ended_answers = 0
            self.doubtful_since = 0.0
            self.first_ending = Ending()
        elif is_answered:
            self.doubtful_since = self.doubtful_since if self.ended_answers else now
            self.ended_answers += 1

    def has_just_failed(self, state: QueuedState | None) -> bool:
        """Whether the answer just noted is the first to show a failure, and the job has not.

        One that looks completed will have a result as soon as the file system shows it.
        """
        is_first = self.outcome is None and self.ended_answers == 1
        return is_first and state is not None and state.state != "COMPLETED"

    def doubtful_s(self, now: float) -> float:
        """How long the job has looked ended or has been known to have failed."""
        return now - self.doubtful_since if self.doubtful_since else 0.0

    def again(self, unexplained: int = 0) -> Request:
        """The request for the submission after this one."""
        restarts = self.entry.restarts + 1
        return replace(self.request, restarts=restarts, unexplained=unexplained, pause=Backoff())
