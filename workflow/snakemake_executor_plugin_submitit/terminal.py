"""What of all messages is shown in the terminal: Snakemake's log file has each job's own lines."""

import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

OF_EACH_JOB = {
    LogEvent.JOB_INFO,
    LogEvent.GROUP_INFO,
    LogEvent.JOB_STARTED,
    LogEvent.JOB_FINISHED,
}
OF_EACH_ROUND = "Select jobs to execute..."  # of Snakemake's scheduler
SUBMITTED = re.compile(r"Submitted \d+ x ")
EQUAL_FAILURES = 3  # of a rule, for the same reason, that are shown in full


class Budget:
    """Lines that may be shown: some at once, then one a minute."""

    def __init__(
        self, lines: int = 20, each_s: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = lines
        self._left = float(lines)
        self._each_s = each_s
        self._clock = clock
        self._last = clock()

    def take(self) -> bool:
        """Whether one more line may be shown now; it is shown then."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._last) / self._each_s)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Terminal(logging.Filter):
    """Passes on to a terminal what concerns more than one job, and failures."""

    def __init__(self, budget: Budget, on_hidden_failure: Callable[[str, str, str], None]) -> None:
        super().__init__()
        self._budget = budget
        self._on_hidden_failure = on_hidden_failure  # job id, rule, reason
        self._failures: Counter[tuple[str, str]] = Counter()
        self.done: tuple[int, int] | None = None  # Snakemake's jobs: how many, and of how many

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the terminal shows a message."""
        said = vars(record)  # Snakemake adds to it what a message is about
        event = said.get("event")
        if event is LogEvent.PROGRESS:
            self.done = said["done"], said["total"]
            return bool(said["done"] == said["total"])
        if event is LogEvent.JOB_ERROR:
            return self._is_new_failure(said)
        if SUBMITTED.match(str(record.msg)):
            return self._budget.take()
        is_detail = event in OF_EACH_JOB or record.msg == OF_EACH_ROUND or "is_detail" in said
        return not is_detail

    def _is_new_failure(self, said: Mapping[str, Any]) -> bool:
        job_id = said["aux"].get("external_jobid")
        failure = said["rule_name"], str(said["rule_msg"] or "").partition("\n")[0]
        self._failures[failure] += 1
        if job_id is None or self._failures[failure] <= EQUAL_FAILURES:
            return True
        self._on_hidden_failure(job_id, *failure)
        return False


def put_on_terminals(logger: logging.Logger, terminal: Terminal) -> str | None:
    """Have terminals show no more than this; the file that has all, None if there is none."""
    files = [it for it in logger.handlers if isinstance(it, logging.FileHandler)]
    if not files:
        return None
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and handler not in files:
            handler.filters.insert(0, terminal)  # it counts what `--quiet` leaves out
    return files[0].baseFilename
