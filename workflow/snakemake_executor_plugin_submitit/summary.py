"""How a head's jobs are, in one line a minute, and what happened to them, in a line for many."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from snakemake_executor_plugin_submitit.slurm_answers import QueuedState
from snakemake_executor_plugin_submitit.terminal import Budget
from snakemake_executor_plugin_submitit.waiting import HELD_STATES, joined

FIRST_S = 10.0
EACH_S = 60.0
UNCHANGED_S = 3600.0  # after which the same is said again
REASONS = 3  # named in the line


@dataclass(frozen=True)
class Event:
    """Something that happened to a job: `requeued the 3rd time: time limit`."""

    job_id: str
    name: str
    what: str
    reason: str = ""
    which: str = ""  # the 3rd time

    @property
    def kind(self) -> tuple[str, str]:
        """Events of the same kind are told in one line."""
        return self.what, self.reason


class Events:
    """What happened and was not told yet."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._new: list[Event] = []
        self._lock = threading.Lock()  # a failure is noticed in the thread of Snakemake's scheduler

    def add(self, event: Event) -> None:
        """Tell it with the next lines."""
        with self._lock:
            self._new.append(event)

    def lines(self, *, all_of_them: bool = False) -> Iterator[str]:
        """A line for each kind of event, as many as the budget allows; the others stay."""
        with self._lock:
            events, self._new = sorted(self._new, key=lambda event: event.kind), []
        for _, group in groupby(events, key=lambda event: event.kind):
            members = list(group)
            if self._budget.take() or all_of_them:
                yield line(members)
            else:
                with self._lock:
                    self._new += members


def line(events: list[Event]) -> str:
    """`job 33, train/mnist/r5/0, requeued the 3rd time: time limit`, or of many jobs."""
    first = events[0]
    reason = f": {first.reason}" if first.reason else ""
    if len(events) == 1:
        which = f" {first.which}" if first.which else ""
        return f"job {first.job_id}, {first.name}, {first.what}{which}{reason}"
    rules = ", ".join(sorted({event.name.partition("/")[0] for event in events}))
    ids = joined({event.job_id for event in events})
    return f"{len(events)} jobs of {rules} {first.what}{reason} ({ids})"


class Summary:
    """The line about all jobs."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._due = clock() + FIRST_S
        self._said = ""
        self._said_at = 0.0

    def line(self, text: str) -> str | None:
        """The line, with the time, if it is due; None if it is not, or nothing has changed."""
        now = self._clock()
        if now < self._due or (text == self._said and now < self._said_at + UNCHANGED_S):
            return None
        self._due, self._said, self._said_at = now + EACH_S, text, now
        return f"{time.strftime('%Y-%m-%d %H:%M')}: {text}"


def counts(
    states: Iterable[QueuedState | None], unsubmitted: int, done: tuple[int, int], failed: int
) -> str:
    """`40 running, 160 pending (100 Priority, 60 Resources), 2 held; 300 of 1000 done`."""
    running = held = 0
    pending: Counter[str] = Counter()
    for state in states:
        if state is None:
            pending["submitted just now"] += 1
        elif is_held(state):
            held += 1
        elif is_waiting(state):
            pending[state.reason.strip("()").partition(",")[0]] += 1
        else:
            running += 1
    parts = [f"{running} running", f"{pending.total()} pending{_reasons(pending)}"]
    parts += [f"{held} held"] if held else []
    parts += [f"{unsubmitted} not submitted yet"] if unsubmitted else []
    ends = [f"{done[0]} of {done[1]} done"] + ([f"{failed} failed"] if failed else [])
    return f"{', '.join(parts)}; {', '.join(ends)}"


def is_waiting(state: QueuedState) -> bool:
    """Whether a job in the queue has not started, or is about to be requeued."""
    return state.state in {"PENDING", "REQUEUED", "REQUEUE_FED", *HELD_STATES}


def is_held(state: QueuedState) -> bool:
    """Whether somebody has to release a job."""
    reason = state.reason.lower()
    return state.state in HELD_STATES or (is_waiting(state) and "held" in reason)


def _reasons(pending: Counter[str]) -> str:
    named = [
        (reason, n) for reason, n in pending.most_common(REASONS) if reason not in ("", "None")
    ]
    return f" ({', '.join(f'{n} {reason}' for reason, n in named)})" if named else ""
