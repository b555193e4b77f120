"""The cluster's last answer about the jobs of this head."""

import time
from collections.abc import Callable

from snakemake_executor_plugin_submitit import local_jobs, slurm
from snakemake_executor_plugin_submitit.backoff import Backoff
from snakemake_executor_plugin_submitit.notices import Notices
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState


class QueueView:
    """The queue as it was when last asked; it is asked about all jobs at once."""

    def __init__(self, *, on_slurm: bool, inform: Callable[[str], None], notices: Notices) -> None:
        self._on_slurm = on_slurm
        self._inform = inform
        self._notices = notices
        self._pause = Backoff()
        self._states: dict[str, QueuedState] | None = None

    @property
    def has_answered(self) -> bool:
        """Whether an answer has come since this head started."""
        return self._states is not None

    def state(self, job_id: str) -> QueuedState | None:
        """A job in the last answer; None if it is not there."""
        return (self._states or {}).get(job_id)

    def ask(self, job_ids: list[str]) -> bool:
        """Ask for the states of these jobs, if that is due; whether an answer came."""
        if not job_ids or not self._pause.is_due:
            return False
        if not self._on_slurm:
            self._states = local_jobs.running_states(job_ids)
            return True
        asked = time.monotonic()
        try:
            self._states = slurm.queued_states()
        except slurm.QueryError as error:
            self._pause.failed()
            self._notices.warn("queue", f"SLURM does not answer, trying again: {error}")
            return False
        if self._pause.failures:
            self._inform("SLURM answers again.")
            self._notices.settled("queue")
        self._pause.succeeded(time.monotonic() - asked)
        return True
