"""How many more jobs a cluster takes that limits how many one may submit."""

from snakemake_executor_plugin_submitit.backoff import Backoff

WORTHWHILE = 0.1  # of what the queue holds: so much must be free before more is submitted
LONGEST_RETRY_S = 10.0
PATIENT_TRIES = 2


class Room:
    """The room in the queue, as far as the cluster has said.

    Once the queue was full, how many of the head's jobs it had then is remembered: more are
    submitted when some of those have ended. One is tried now and then, since limits change.
    """

    def __init__(self) -> None:
        self.in_queue = 0  # of this head's jobs
        self._capacity: int | None = None  # of the queue; None: it was never full
        self._too_many: int | None = None  # at the search for the capacity
        self._retry = Backoff(LONGEST_RETRY_S)
        self._probe = Backoff()

    @property
    def is_full(self) -> bool:
        """Whether the cluster takes nothing more for now."""
        return self._capacity is not None and self.in_queue >= self._capacity

    def for_jobs(self, wanted: int) -> int:
        """How many of the wanted jobs to submit now, one at least if any."""
        if self._too_many is not None:
            return min(wanted, self._too_many // 2)
        if self._capacity is None:
            return wanted
        if not self._retry.is_due:
            return 0
        free = min(wanted, self._capacity - self.in_queue)
        is_worthwhile = free >= min(wanted, max(1, WORTHWHILE * self._capacity))
        return max(1, free) if is_worthwhile or self._probe.is_due else 0

    def taken(self, jobs: int) -> None:
        """The cluster has taken so many."""
        self.in_queue += jobs
        if self._too_many is not None:
            self._too_many -= jobs
            self._end_search()
        elif self._capacity is not None:
            self._retry.succeeded()
            if self.in_queue > self._capacity:
                self._capacity = self.in_queue
                self._probe.succeeded()

    def refused(self, jobs: int) -> None:
        """So many were too many."""
        if self._capacity is None or self._too_many is not None:
            self._too_many = jobs
            self._end_search()
            return
        # Those that have just ended still count, or others have taken the room.
        self._retry.failed()
        self._probe.failed()
        if self._retry.failures > PATIENT_TRIES:
            self._capacity = min(self._capacity, self.in_queue + jobs // 2)

    def _end_search(self) -> None:
        if self._too_many is not None and self._too_many <= 1:
            self._too_many = None
            self._capacity = self.in_queue
            self._probe.failed()
