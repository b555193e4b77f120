"""Submitting in arrays, without sbatch: what is split, tried again, or given up."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from snakemake_job import SnakemakeJob

from snakemake_executor_plugin_submitit import slurm, submitter
from snakemake_executor_plugin_submitit.jobs import Request
from snakemake_executor_plugin_submitit.ledger import Entry, Ledger
from snakemake_executor_plugin_submitit.notices import Notices
from snakemake_executor_plugin_submitit.results import Results
from snakemake_executor_plugin_submitit.runner import JobRunner
from snakemake_executor_plugin_submitit.sbatch_errors import (
    ArrayRefused,
    LimitReached,
    Refused,
    SubmissionError,
    Unavailable,
)
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.submitter import (
    SUBMISSION_TRIES,
    GivenUp,
    Submitter,
    Taken,
)


@dataclass(frozen=True)
class ClusterJob:
    """As submitit returns it."""

    job_id: str


@dataclass
class Cluster:
    """Stands in for `submit`: takes arrays until its queue is full, or says what it is told to."""

    room: int = 10_000
    array_limit: int = 10_000
    error: SubmissionError | None = None
    arrays: list[tuple[str, list[str], int]] = field(default_factory=list)
    runners: list[JobRunner] = field(default_factory=list)
    tries: int = 0

    def submit(
        self,
        folder: Path,
        cluster: str,
        name: str,
        parameters: dict[str, Any],
        runners: Sequence[JobRunner],
        array_parallelism: int,
    ) -> tuple[str, list[ClusterJob]]:
        if self.error is not None:
            raise self.error
        if len(runners) > max(1, self.array_limit):
            raise ArrayRefused("Invalid job array specification")
        self.tries += 1
        if len(runners) > self.room:
            raise LimitReached("no room")
        self.room -= len(runners)
        self.arrays.append((name, [runner.key for runner in runners], array_parallelism))
        self.runners += runners
        number = len(self.arrays)
        return f"s{number}", [ClusterJob(f"{number}_{task}") for task in range(len(runners))]


@dataclass
class Desk:
    """A submitter, and what it said."""

    submitter: Submitter
    ledger: Ledger
    said: list[str] = field(default_factory=list)

    def submit(self, requests: list[Request], in_queue: int = 0) -> tuple[list[str], list[str]]:
        """The keys of requests that were taken, and of those that were given up."""
        answers = list(self.submitter.submit(requests, in_queue))
        return (
            [answer.request.key for answer in answers if isinstance(answer, Taken)],
            [answer.request.key for answer in answers if isinstance(answer, GivenUp)],
        )


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    monkeypatch.setattr(submitter, "submit", cluster.submit)
    return cluster


@pytest.fixture
def desk(tmp_path: Path, cluster: Cluster) -> Desk:
    return new_desk(tmp_path)


def new_desk(
    tmp_path: Path, array_limit: Callable[[], int | None] = lambda: 4, **settings: Any
) -> Desk:
    said: list[str] = []
    ledger = Ledger(tmp_path / "ledger.jsonl")
    results = Results(tmp_path / "jobs")
    inform: Callable[[str], None] = said.append
    return Desk(
        Submitter(
            ExecutorSettings(**settings), results, ledger, array_limit, inform, Notices(inform)
        ),
        ledger,
        said,
    )


def request(key: str, minutes: int = 60, name: str = "train", restarts: int = 0) -> Request:
    return Request(
        job=SnakemakeJob(name=name),
        key=key,
        fingerprint=f"fingerprint of {key}",
        parameters={"timeout_min": minutes, "slurm_signal_delay_s": 40},
        command=f"make {key}",
        restarts=restarts,
    )


def test_jobs_of_equal_parameters_are_one_array(desk: Desk, cluster: Cluster) -> None:
    requests = [request("a"), request("b", minutes=5, name="evaluate"), request("c")]
    taken, given_up = desk.submit(requests)
    assert sorted(taken) == ["a", "b", "c"]
    assert given_up == []
    assert sorted(cluster.arrays) == [("evaluate", ["b"], 0), ("train", ["a", "c"], 0)]
    assert "Submitted 1 x evaluate as 1_0." in desk.said
    assert "Submitted 2 x train as array 2." in desk.said


def test_an_array_of_several_rules_bears_no_rules_name(desk: Desk, cluster: Cluster) -> None:
    desk.submit([request("a"), request("b", name="evaluate")])
    assert cluster.arrays == [("snakemake", ["a", "b"], 0)]
    assert desk.said == ["Submitted 2 x evaluate, train as array 1."]


def test_an_array_has_no_more_jobs_than_the_site_allows(desk: Desk, cluster: Cluster) -> None:
    desk.submit([request(key) for key in "abcdefghi"])
    assert [keys for _, keys, _ in cluster.arrays] == [list("abcd"), list("efgh"), ["i"]]


def test_where_there_are_no_arrays_jobs_are_submitted_one_by_one(
    tmp_path: Path, cluster: Cluster
) -> None:
    cluster.array_limit = 0
    desk = new_desk(tmp_path, array_limit=lambda: 1)
    assert desk.submit([request(key) for key in "abc"]) == (["a", "b", "c"], [])
    assert [keys for _, keys, _ in cluster.arrays] == [["a"], ["b"], ["c"]]
    assert desk.said == ["Submitted 3 x train as single jobs 1 to 3."]


def test_an_array_limit_that_is_not_known_yet_is_asked_for_again(
    tmp_path: Path, cluster: Cluster
) -> None:
    answers: list[int | None] = [None, 2]
    desk = new_desk(tmp_path, array_limit=lambda: answers.pop(0))
    desk.submit([request(key) for key in "abc"])
    desk.submit([request(key) for key in "def"])
    desk.submit([request(key) for key in "gh"])
    assert [keys for _, keys, _ in cluster.arrays] == [
        ["a", "b", "c"],
        ["d", "e"],
        ["f"],
        ["g", "h"],
    ]
    assert desk.said[1] == "Submitted 3 x train as arrays 2, 3."


@pytest.mark.parametrize(
    ("answers", "sizes"),
    [
        ([None, 3], [3, 3, 1]),  # SLURM was away at first, and says so now
        ([10, 3], [3, 3, 1]),  # it was made smaller
        ([10, 10], [1] * 7),  # another limit than the one that is known
        ([None, None], [1] * 7),
    ],
)
def test_a_refused_array_is_cut_smaller(
    tmp_path: Path, cluster: Cluster, answers: list[int | None], sizes: list[int]
) -> None:
    cluster.array_limit = 3 if sizes[0] == 3 else 0
    desk = new_desk(tmp_path, array_limit=lambda: answers.pop(0))
    assert desk.submit([request(key) for key in "abcdefg"]) == (list("abcdefg"), [])
    assert [len(keys) for _, keys, _ in cluster.arrays] == sizes
    assert answers == []


def test_jobs_are_recorded_before_anybody_hears_of_them(desk: Desk) -> None:
    again = replace(request("b", restarts=2), unexplained=1)
    for answer in desk.submitter.submit([request("a"), again], in_queue=0):
        assert isinstance(answer, Taken)
        entry = desk.ledger.get(answer.request.key)
        assert entry == answer.entry
        assert entry.job_id == answer.job.job_id
        assert entry.submission == f"s{entry.job_id.partition('_')[0]}"
        assert entry.fingerprint == f"fingerprint of {answer.request.key}"
        assert entry.restarts == answer.request.restarts
        assert entry.unexplained == answer.request.unexplained


def test_what_a_job_takes_along_to_the_node(tmp_path: Path, cluster: Cluster) -> None:
    desk = new_desk(tmp_path, requeue_limit=7, array_parallelism=2)
    desk.submit([request("a", restarts=3)])
    assert cluster.arrays == [("train", ["a"], 2)]
    assert cluster.runners == [
        JobRunner(
            command="make a",
            key="a",
            ledger=tmp_path / "ledger.jsonl",
            time_limit_s=3600.0,
            signal_delay_s=40,
            requeue_limit=7,
            earlier_restarts=3,
            name="train",
        )
    ]


def test_a_job_that_may_run_once_is_not_requeued(tmp_path: Path, cluster: Cluster) -> None:
    new_desk(tmp_path, requeue_limit=7).submit([replace(request("a"), may_requeue=False)])
    assert cluster.runners[0].requeue_limit == 0


def test_a_job_in_the_head_itself_looks_nothing_up(tmp_path: Path, cluster: Cluster) -> None:
    new_desk(tmp_path, cluster="debug").submit([request("a")])
    assert cluster.runners[0].ledger is None


def test_a_queue_takes_as_many_as_there_is_room_for(desk: Desk, cluster: Cluster) -> None:
    cluster.room = 2
    taken, given_up = desk.submit([request(key) for key in "abcd"])
    assert (taken, given_up) == (["a", "b"], [])
    assert "submitit: waiting until SLURM takes more jobs: no room" in desk.said
    # The queue is left alone for a while.
    cluster.room = 2
    assert desk.submit([request("c")], in_queue=2) == ([], [])


def test_a_queue_that_was_full_is_refilled_at_once_and_asked_once(
    tmp_path: Path, cluster: Cluster
) -> None:
    """However many jobs wait: the number that it took is remembered."""
    desk = new_desk(tmp_path, array_limit=lambda: 1000)
    waiting = [request(f"{number}") for number in range(1000)]
    cluster.room = 200
    taken, _ = desk.submit(waiting)
    assert len(taken) == 200
    assert cluster.tries < 20  # a search
    in_queue, polls = 200, 0
    for ended in (0, 7, 50, 200, 3, 1) * 2:
        waiting = [job for job in waiting if job.key not in taken]
        cluster.room += ended
        in_queue -= ended
        before = cluster.tries
        taken, _ = desk.submit(waiting, in_queue)
        assert cluster.tries - before <= 2  # the room that is known, and one more if time is due
        in_queue += len(taken)
        polls += 1
    # What became free in small numbers waits for more.
    assert in_queue >= 180
    assert polls == 12
    assert len([line for line in desk.said if "waiting until" in line]) == 1


def test_what_is_refused_is_given_up_at_once(desk: Desk, cluster: Cluster) -> None:
    cluster.error = Refused("invalid account")
    assert desk.submit([request("a"), request("b")]) == ([], ["a", "b"])
    assert desk.said == []


@pytest.mark.parametrize("tries_before", [0, SUBMISSION_TRIES - 2])
def test_what_may_pass_is_tried_again(desk: Desk, cluster: Cluster, tries_before: int) -> None:
    cluster.error = SubmissionError("unexpected message")
    job = request("a")
    job.pause.failures = tries_before
    assert desk.submit([job]) == ([], [])
    assert not job.pause.is_due
    assert desk.said == ["submitit: submission failed, trying again: unexpected message"]


def test_after_many_tries_it_is_given_up(desk: Desk, cluster: Cluster) -> None:
    cluster.error = SubmissionError("unexpected message")
    tried, fresh = request("a"), request("b")
    tried.pause.failures = SUBMISSION_TRIES - 1
    assert desk.submit([tried, fresh]) == ([], ["a"])


def test_a_controller_that_is_away_is_waited_for_as_long_as_it_takes(
    desk: Desk, cluster: Cluster
) -> None:
    cluster.error = Unavailable("unable to contact")
    job = request("a")
    job.pause.failures = 100
    assert desk.submit([job]) == ([], [])
    cluster.error = None
    assert desk.submit([job]) == (["a"], [])


def test_a_second_disturbance_is_told_as_the_first_was(desk: Desk, cluster: Cluster) -> None:
    for key in ("a", "b"):
        cluster.error = Unavailable("unable to contact")
        job = request(key)
        desk.submit([job])
        desk.submit([job])
        cluster.error = None
        assert desk.submit([job]) == ([key], [])
    assert [line for line in desk.said if "trying again" in line] == [
        "submitit: submission failed, trying again: unable to contact"
    ] * 2


@dataclass
class Queue:
    """Stands in for squeue and scancel: it has jobs by their submissions, or is away."""

    jobs: dict[str, str]
    is_away: bool = False
    cancelled: list[str] = field(default_factory=list)

    def jobs_of_submissions(self, submissions: set[str]) -> list[str]:
        if self.is_away:
            raise slurm.QueryError("unable to contact slurm controller")
        return [job for submission, job in self.jobs.items() if submission in submissions]

    def cancel(self, job_ids: list[str]) -> list[str]:
        self.cancelled += job_ids
        return []


@pytest.mark.parametrize("found", [{"lost": "7"}, {"another": "8"}])
def test_a_submission_without_an_answer_is_looked_up_before_it_is_repeated(
    desk: Desk, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, found: dict[str, str]
) -> None:
    queue = Queue(found, is_away=True)
    monkeypatch.setattr(submitter.slurm, "jobs_of_submissions", queue.jobs_of_submissions)
    monkeypatch.setattr(submitter.slurm, "cancel", queue.cancel)
    cluster.error = Unavailable("timed out")
    cluster.error.submission = "lost"
    assert desk.submit([request("a")]) == ([], [])
    cluster.error = None
    # While nobody knows, nothing is submitted: it could be there twice.
    assert desk.submit([request("a"), request("b")]) == ([], [])
    assert cluster.arrays == []
    queue.is_away = False
    assert desk.submit([request("a")]) == (["a"], [])
    assert queue.cancelled == (["7"] if "lost" in found else [])
    # It is asked once.
    queue.is_away = True
    assert desk.submit([request("c")]) == (["c"], [])


def test_what_a_killed_head_has_not_recorded_goes_unless_another_is_submitting(
    tmp_path: Path,
) -> None:
    desk, other = new_desk(tmp_path), new_desk(tmp_path)
    lost = tmp_path / "jobs/lost"
    lost.mkdir()
    (lost / "7_submitted.pkl").touch()
    with other.ledger.submitting():
        desk.submitter.sweep()
        assert lost.exists()
        other.ledger.put([Entry(key="a", job_id="7", submission="lost", fingerprint="f")])
    desk.submitter.sweep()
    assert lost.exists()
    desk.ledger.drop(["a"])
    desk.submitter.sweep()
    assert not list((tmp_path / "jobs").iterdir())
