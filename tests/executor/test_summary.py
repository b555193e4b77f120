"""The line about all jobs, and the lines about what happened to some."""

import pytest
from test_terminal import Clock

from snakemake_executor_plugin_submitit.slurm_answers import QueuedState
from snakemake_executor_plugin_submitit.summary import Event, Events, Summary, counts
from snakemake_executor_plugin_submitit.terminal import Budget

RUNNING = QueuedState("RUNNING", "None")


def pending(reason: str) -> QueuedState:
    return QueuedState("PENDING", reason)


def test_the_line_counts_every_job_once() -> None:
    states = [
        *[RUNNING] * 40,
        QueuedState("COMPLETING", "None"),
        *[pending("Priority")] * 3,
        *[pending("Resources")] * 2,
        pending("ReqNodeNotAvail, UnavailableNodes:n1"),
        pending("BeginTime"),
        pending("JobHeldUser"),
        pending("launch failed requeued held"),
        QueuedState("REQUEUE_HOLD", "job_requeued_in_held_state"),
        pending("None"),
        None,
    ]
    assert counts(states, 500, (300, 1000), 2) == (
        "41 running, 9 pending (3 Priority, 2 Resources, 1 ReqNodeNotAvail), 3 held, "
        "500 not submitted yet; 300 of 1000 done, 2 failed"
    )
    assert counts([], 0, (0, 7), 0) == "0 running, 0 pending; 0 of 7 done"


def test_the_line_comes_once_a_minute_if_it_has_changed() -> None:
    clock = Clock()
    summary = Summary(clock)
    said = []
    for second in range(0, 7200, 10):
        clock.now = second
        text = "a" if second < 100 else "b"
        if line := summary.line(text):
            said.append((second, line.partition(": ")[2]))
    assert said == [(10, "a"), (100, "b"), (3700, "b")]


def test_one_event_names_its_job_and_many_are_one_line() -> None:
    events = Events(Budget())
    limit = "time limit"
    events.add(Event("33", "train/mnist/r5/0", "requeued", limit, "the 3rd time"))
    events.add(Event("34", "train/mnist/r5/1", "requeued", "preempted", "the 1st time"))
    events.add(Event("7_1", "evaluate/mnist", "found again"))
    events.add(Event("7_2", "train/mnist", "found again"))
    assert list(events.lines()) == [
        "2 jobs of evaluate, train found again (7_[1-2])",
        "job 34, train/mnist/r5/1, requeued the 1st time: preempted",
        "job 33, train/mnist/r5/0, requeued the 3rd time: time limit",
    ]
    assert list(events.lines()) == []


@pytest.mark.parametrize("is_end", [False, True])
def test_events_beyond_the_budget_wait_and_become_one_line(is_end: bool) -> None:
    clock = Clock()
    events = Events(Budget(lines=1, each_s=60, clock=clock))
    said = []
    for i in range(4):
        events.add(Event(f"5_{i}", f"train/{i}", "requeued", "preempted"))
        said += list(events.lines())
    assert said == ["job 5_0, train/0, requeued: preempted"]
    clock.now = 0 if is_end else 61
    assert list(events.lines(all_of_them=is_end)) == [
        "3 jobs of train requeued: preempted (5_[1-3])"
    ]
