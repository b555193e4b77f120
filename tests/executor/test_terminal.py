"""What the terminal shows of Snakemake's messages, and what only its log file has."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_executor_plugin_submitit.terminal import Budget, Terminal, put_on_terminals


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Log:
    """A logger as Snakemake sets it up: a terminal, and a file."""

    def __init__(self, file: Path) -> None:
        self.hidden: list[tuple[str, str, str]] = []
        self.screen = io.StringIO()
        self.file = file
        self.logger = logging.Logger("test", logging.INFO)
        self.logger.addHandler(logging.StreamHandler(self.screen))
        self.logger.addHandler(logging.FileHandler(file))
        self.clock = Clock()
        budget = Budget(lines=3, each_s=60, clock=self.clock)
        self.terminal = Terminal(budget, lambda *failure: self.hidden.append(failure))

    def say(self, text: str | None, event: LogEvent | None = None, **about: Any) -> None:
        """As Snakemake does."""
        self.logger.info(text, extra={"event": event, **about})

    @property
    def shown(self) -> list[str]:
        """The lines in the terminal."""
        return self.screen.getvalue().splitlines()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path / "snakemake.log")
    assert put_on_terminals(log.logger, log.terminal) == str(log.file)
    yield log
    log.logger.handlers[1].close()


def test_a_jobs_own_lines_are_in_the_file_alone(log: Log) -> None:
    log.say("Rule: train", LogEvent.JOB_INFO)
    log.say("Finished jobid: 1", LogEvent.JOB_FINISHED)
    log.say("Execute 5 jobs...", LogEvent.JOB_STARTED)
    log.say("Select jobs to execute...")
    log.say("Job 12 is train/0", is_detail=True)
    log.say("Job stats:", LogEvent.RUN_INFO)
    log.say("Trying to restart job 3.")
    assert log.shown == ["Job stats:", "Trying to restart job 3."]
    assert len(log.file.read_text().splitlines()) == 7


def test_progress_is_kept_for_the_summary_and_its_end_is_shown(log: Log) -> None:
    log.say("40 of 1000", LogEvent.PROGRESS, done=40, total=1000)
    assert log.terminal.done == (40, 1000)
    assert log.shown == []
    log.say("1000 of 1000", LogEvent.PROGRESS, done=1000, total=1000)
    assert log.shown == ["1000 of 1000"]


def test_progress_is_known_where_the_user_wants_none_shown(log: Log) -> None:
    terminal = logging.StreamHandler(log.screen)
    terminal.addFilter(lambda record: record.event is not LogEvent.PROGRESS)  # --quiet progress
    log.logger.handlers[0] = terminal
    put_on_terminals(log.logger, log.terminal)
    log.say("1000 of 1000", LogEvent.PROGRESS, done=1000, total=1000)
    assert log.terminal.done == (1000, 1000)
    assert log.shown == []


def test_failures_of_a_rule_for_the_same_reason_are_shown_three_times(log: Log) -> None:
    def fail(job_id: str | None, rule: str, reason: str) -> None:
        about = {"rule_name": rule, "rule_msg": f"{reason}\n  log", "aux": {}}
        if job_id:
            about["aux"] = {"external_jobid": job_id}
        log.say(f"{rule} {reason}", LogEvent.JOB_ERROR, **about)

    for i in range(5):
        fail(f"7_{i}", "train", "exit code 3")
    fail("8", "train", "out of memory")
    fail("9", "evaluate", "exit code 3")
    fail(None, "train", "exit code 3")  # a local rule's
    assert log.shown == [
        *["train exit code 3"] * 3,
        "train out of memory",
        "evaluate exit code 3",
        "train exit code 3",
    ]
    assert log.hidden == [("7_3", "train", "exit code 3"), ("7_4", "train", "exit code 3")]


def test_submissions_are_told_at_once_and_then_one_a_minute(log: Log) -> None:
    for i in range(5):
        log.say(f"Submitted {i} x train as {i}.")
    assert len(log.shown) == 3
    log.clock.now = 59
    log.say("Submitted 5 x train as 5.")
    log.clock.now = 61
    log.say("Submitted 6 x train as 6.")
    assert log.shown[3:] == ["Submitted 6 x train as 6."]


def test_without_a_log_file_the_terminal_shows_everything() -> None:
    logger = logging.Logger("test")
    handler = logging.StreamHandler(io.StringIO())
    logger.addHandler(handler)
    assert put_on_terminals(logger, Terminal(Budget(), print)) is None
    assert handler.filters == []
