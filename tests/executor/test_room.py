"""A queue that takes so many jobs of a user and no more, and how often it is asked."""

from dataclasses import dataclass

import pytest

from snakemake_executor_plugin_submitit import backoff
from snakemake_executor_plugin_submitit.room import Room


@dataclass
class Clock:
    """Time that passes when a test says so."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(backoff, "time", clock)
    return clock


@dataclass
class Queue:
    """A cluster's queue, and a head that submits all it can at each poll."""

    limit: int
    clock: Clock
    length: int = 0
    tries: int = 0

    def poll(self, room: Room, wanted: int) -> int:
        """How many were taken."""
        self.clock.now += 1.0
        room.in_queue = self.length
        taken = 0
        while (size := room.for_jobs(wanted - taken)) and taken < wanted:
            self.tries += 1
            assert self.tries < 1000
            if self.length + size > self.limit:
                room.refused(size)
            else:
                room.taken(size)
                self.length += size
                taken += size
        return taken


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 199, 200, 999, 1000])
def test_a_queue_is_filled_to_its_limit_in_a_search(clock: Clock, limit: int) -> None:
    queue = Queue(limit, clock)
    assert queue.poll(Room(), 1000) == limit
    assert queue.tries <= 20


def test_where_there_is_no_limit_everything_is_submitted_at_once(clock: Clock) -> None:
    queue = Queue(10**6, clock)
    assert queue.poll(Room(), 5000) == 5000
    assert queue.tries == 1


def test_a_full_queue_is_asked_once_a_minute_at_most_in_the_end(clock: Clock) -> None:
    room, queue = Room(), Queue(200, clock)
    queue.poll(room, 1000)
    queue.tries = 0
    for _ in range(600):
        assert queue.poll(room, 800) == 0
        assert room.is_full
    assert queue.tries < 20


def test_what_ends_is_replaced_without_a_search(clock: Clock) -> None:
    room, queue = Room(), Queue(200, clock)
    queue.poll(room, 1000)
    queue.tries = 0
    for _ in range(20):
        queue.length -= 40
        assert queue.poll(room, 800) == 40
    assert queue.tries <= 30


def test_a_single_place_is_filled_within_a_minute(clock: Clock) -> None:
    room, queue = Room(), Queue(200, clock)
    queue.poll(room, 1000)
    for _ in range(100):  # it has found out that the queue stays full
        queue.poll(room, 800)
    queue.length -= 1
    polls = 0
    while queue.poll(room, 800) == 0:
        polls += 1
    assert polls <= 61


def test_the_last_few_jobs_do_not_wait_for_more_room_than_they_need(clock: Clock) -> None:
    room, queue = Room(), Queue(200, clock)
    queue.poll(room, 203)
    queue.length -= 3
    assert queue.poll(room, 3) == 3


def test_a_limit_that_is_raised_is_found(clock: Clock) -> None:
    room, queue = Room(), Queue(10, clock)
    queue.poll(room, 100)
    queue.limit = 50
    for _ in range(200):
        queue.poll(room, 100)
    assert queue.length == 50


def test_room_that_others_have_taken_is_not_fought_for(clock: Clock) -> None:
    room, queue = Room(), Queue(200, clock)
    queue.poll(room, 1000)
    queue.limit, queue.length, queue.tries = 100, 100, 0
    for _ in range(300):
        queue.poll(room, 800)
    assert queue.tries < 50
    queue.length -= 50
    for _ in range(100):
        queue.poll(room, 800)
    assert queue.length == 100
