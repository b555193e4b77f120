"""A poll of the executor without Snakemake and SLURM: each job is looked after, come what may."""

import asyncio
import json
import logging
import signal
import threading
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_job import SnakemakeJob

from snakemake_executor_plugin_submitit import slurm
from snakemake_executor_plugin_submitit.departing import Departing
from snakemake_executor_plugin_submitit.executor import Executor
from snakemake_executor_plugin_submitit.incarnation import record_file
from snakemake_executor_plugin_submitit.jobs import Request, Submitted
from snakemake_executor_plugin_submitit.ledger import Entry, Ledger
from snakemake_executor_plugin_submitit.notices import Notices
from snakemake_executor_plugin_submitit.queue_view import QueueView
from snakemake_executor_plugin_submitit.results import Results
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.screen import Screen
from snakemake_executor_plugin_submitit.settings import ExecutorSettings
from snakemake_executor_plugin_submitit.signals import without_ctrl_c
from snakemake_executor_plugin_submitit.slurm_answers import QueuedState
from snakemake_executor_plugin_submitit.submitter import Submitter


class Broken(SnakemakeJob):
    """A job that Snakemake cannot tell the log files of."""

    @property
    def log(self) -> list[str]:
        raise RuntimeError("no log")


class Desk(Executor):
    """The executor on this machine, with what it tells Snakemake."""

    def __init__(self, folder: Path) -> None:
        self.settings = ExecutorSettings(cluster="local")
        self.on_slurm = False
        self.results = Results(folder / "home/jobs")
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.told: list[str] = []
        self.warned: list[str] = []
        self.told_to_stop = False
        self._requests: list[Request] = []
        self._submitted: dict[str, Submitted] = {}
        self._departing = Departing()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_cancelled = False
        self._is_ready = True
        self._ctrl_c = without_ctrl_c
        self._notices = Notices(self.warned.append)
        self._screen = Screen(self.logger, folder, total=2)
        self._queue = QueueView(on_slurm=False, inform=print, notices=self._notices)
        self._submitter = Submitter(
            self.settings, self.results, self.ledger, lambda: None, print, self._notices
        )

    @property
    def workflow(self) -> Any:
        kill = "graceful" if self.told_to_stop else None
        return SimpleNamespace(
            scheduler=SimpleNamespace(_user_kill=kill),
            execution_settings=SimpleNamespace(latency_wait=5),
            output_settings=SimpleNamespace(show_failed_logs=False),
        )

    @workflow.setter
    def workflow(self, value: Any) -> None:
        raise AttributeError

    logger = logging.getLogger("test")

    def report_job_success(self, job_info: SubmittedJobInfo) -> None:
        self.told.append(f"{job_info.external_jobid} done")

    def report_job_error(
        self, job_info: SubmittedJobInfo, msg: str | None = None, **kwargs: Any
    ) -> None:
        self.told.append(f"{job_info.external_jobid} {msg}")

    def add(self, job_id: str, job: SnakemakeJob, outcome: Outcome) -> None:
        """A job that was submitted, and has left a result."""
        entry = Entry(key=job_id, job_id=job_id, submission="s", fingerprint="f")
        request = Request(job=job, key=job_id, fingerprint="f", parameters={}, command="true")
        self.ledger.put([entry])
        info = SubmittedJobInfo(job, external_jobid=job_id)
        self._submitted[job_id] = Submitted(request, entry, info)
        self._screen.watched(job_id, job, self.results.log(entry))
        (self.results.folder / "s").mkdir(exist_ok=True)
        record = record_file(self.results.folder, "s", job_id, outcome.restarts)
        record.write_text(json.dumps(asdict(outcome)))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_exception_about_one_job_does_not_stop_the_poll_for_those_behind_it(desk: Desk) -> None:
    desk.add("1", Broken(), Outcome("failed"))
    desk.add("2", SnakemakeJob(), Outcome("done"))
    for _ in range(2):
        desk._poll()
    assert desk.told == ["2 done"]
    assert desk.warned == [
        "submitit: looking after job 1 failed, trying again: RuntimeError: no log"
    ]
    assert [entry.job_id for entry in desk.ledger] == ["1"]  # not lost


def test_files_that_cannot_be_removed_do_not_hide_a_success(desk: Desk) -> None:
    desk.add("2", SnakemakeJob(), Outcome("done"))
    (desk.results.folder / "s/2_0_log.out").mkdir()
    desk._poll()
    assert desk.told == ["2 done"]
    assert len(desk.warned) == 1
    assert "files of job 2 stay" in desk.warned[0]
    assert list(desk.ledger) == []


def test_snakemake_that_is_told_to_stop_does_not_wait_for_what_could_not_be_submitted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.add("2", SnakemakeJob(), Outcome("done"))
    request = Request(job=SnakemakeJob(), key="a", fingerprint="f", parameters={}, command="true")
    request.pause.failed()  # it was tried just now
    desk._requests.append(request)
    desk.told_to_stop = True
    desk._poll()
    assert desk.told == ["None not submitted: Snakemake was told to stop", "2 done"]
    assert desk._requests == []


def test_ctrl_c_is_kept_from_what_a_poll_starts_and_from_nothing_else(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked() -> set[int]:
        return signal.pthread_sigmask(signal.SIG_BLOCK, [])

    polled: list[set[int]] = []
    monkeypatch.setattr(desk, "_poll", lambda: polled.append(blocked()))

    async def poll() -> None:
        async for _ in desk.check_active_jobs([]):
            pass

    asyncio.run(poll())
    assert [signal.SIGINT in mask for mask in polled] == [True]
    assert signal.SIGINT not in blocked()


class Queue:
    """SLURM's answers, which a test gives."""

    def __init__(self, states: dict[str, QueuedState]) -> None:
        self.states = states
        self.has_answered = True

    def ask(self, job_ids: list[str]) -> bool:
        return True

    def state(self, job_id: str) -> QueuedState | None:
        return self.states.get(job_id)


@pytest.fixture
def cancelled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids that were given to scancel."""
    ids: list[str] = []

    def cancel(job_ids: list[str]) -> list[str]:
        ids.extend(job_ids)
        return []

    monkeypatch.setattr(slurm, "cancel", cancel)
    return ids


def on_slurm(desk: Desk, states: dict[str, QueuedState]) -> Any:
    desk.on_slurm = True
    desk.settings = ExecutorSettings(cluster="slurm")
    queue: Any = Queue(states)
    desk._queue = queue
    return queue


@pytest.mark.parametrize("status", ["done", "failed"])
def test_what_an_old_start_says_is_ignored_while_a_new_one_is_to_make_the_outputs(
    desk: Desk, cancelled: list[str], status: Any
) -> None:
    desk.add("7", SnakemakeJob(), Outcome(status))
    queue = on_slurm(desk, {"7": QueuedState("PENDING", "BeginTime", 1, "s")})
    for _ in range(5):
        desk._poll()
    queue.states["7"] = QueuedState("RUNNING", "None", 1, "s")
    desk._poll()
    assert (desk.told, cancelled) == ([], [])
    assert [entry.job_id for entry in desk.ledger] == ["7"]
    record = record_file(desk.results.folder, "s", "7", 1)
    record.write_text(json.dumps(asdict(Outcome("done", restarts=1))))
    desk._poll()
    assert (desk.told, cancelled) == (["7 done"], [])


def test_what_slurm_has_requeued_of_an_accepted_job_is_cancelled(
    desk: Desk, cancelled: list[str]
) -> None:
    desk.add("7", SnakemakeJob(), Outcome("done"))
    queue = on_slurm(desk, {"7": QueuedState("RUNNING", "None", 0, "s")})
    desk._poll()
    assert (desk.told, cancelled) == (["7 done"], [])
    queue.states["7"] = QueuedState("PENDING", "BeginTime", 1, "s")
    desk._poll()
    desk._poll()
    assert (desk.told, cancelled) == (["7 done"], ["7"])


def test_a_stranger_s_job_of_the_same_id_is_never_cancelled(
    desk: Desk, cancelled: list[str]
) -> None:
    desk.add("7", SnakemakeJob(), Outcome("interrupted"))
    desk.add("8", SnakemakeJob(), Outcome("interrupted"))
    of_another = QueuedState("RUNNING", "None", 0, "t")
    on_slurm(desk, {"7": of_another, "8": QueuedState("RUNNING", "None", 0, "s")})
    desk._poll()
    assert cancelled == ["8"]


def test_a_poll_that_is_under_way_as_the_executor_ends_leaves_no_table(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake ends the executor in another thread than the one that polls."""
    monkeypatch.setattr(RemoteExecutor, "shutdown", lambda executor: None)
    desk.add("2", SnakemakeJob(), Outcome("done"))
    show, close = desk._screen.show, desk._screen.close
    is_polling, is_closed = threading.Event(), threading.Event()

    def show_late(*args: Any) -> None:
        is_polling.set()
        is_closed.wait(0.5)  # the end has all the time to overtake
        show(*args)

    def close_and_tell(*args: Any) -> None:
        close(*args)
        is_closed.set()

    monkeypatch.setattr(desk._screen, "show", show_late)
    monkeypatch.setattr(desk._screen, "close", close_and_tell)
    polling = threading.Thread(target=desk._poll)
    ending = threading.Thread(target=desk.shutdown)
    polling.start()
    assert is_polling.wait(10)
    ending.start()
    polling.join(10)
    ending.join(10)
    assert is_closed.is_set()
    assert not list(desk.ledger.path.parent.glob("jobs.*"))
