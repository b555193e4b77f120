"""What the terminal shows of a head, by what Snakemake logs."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake.logging import DefaultFormatter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from study.head import terminal
from study.head.terminal import Job, Terminal

RUN = {"study": "tiny", "dataset": "digits", "variant": "x1", "seed": "0"}


class Log:
    """Snakemake's logger with a terminal and a log file."""

    def __init__(self, folder: Path) -> None:
        self.logger = logging.getLogger("test_head_terminal")
        self.logger.setLevel(logging.INFO)
        self.logger.propagate = False
        self._screen, self.file = io.StringIO(), folder / "snakemake.log"
        for handler in (logging.StreamHandler(self._screen), logging.FileHandler(self.file)):
            handler.setFormatter(DefaultFormatter(None, True))  # as 9.15 takes them, too
            self.logger.addHandler(handler)

    def say(self, text: str | None, event: LogEvent | None = None, **said: Any) -> None:
        level = logging.ERROR if event is LogEvent.JOB_ERROR else logging.INFO
        self.logger.log(level, text, extra={"event": event, **said})

    def train(self, number: int, wildcards: dict[str, str]) -> None:
        self.say("rule train:", LogEvent.JOB_INFO, **job_info(number, "train", wildcards))
        self.say(f"Finished jobid: {number}", LogEvent.JOB_FINISHED, job_id=number)

    @property
    def shown(self) -> list[str]:
        return self._screen.getvalue().splitlines()

    def close(self) -> None:
        for handler in list(self.logger.handlers):
            self.logger.removeHandler(handler)
            handler.close()


def job_info(number: int, rule: str, wildcards: dict[str, str]) -> dict[str, Any]:
    return {
        **{"jobid": number, "rule_name": rule, "wildcards": wildcards, "rule_msg": "", "local": 0},
        **{"is_checkpoint": False, "input": [], "output": [], "log": [], "benchmark": None},
        **{"reason": "", "priority": 0, "threads": 1, "resources": {}},
    }


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = Log(tmp_path)
    yield log
    log.close()


def watching(log: Log, folder: Path, jobs: list[Job], **settings: Any) -> Terminal:
    wanted = {"verbose": False, "printshellcmds": False, "debug_dag": False, "quiet": None}
    watched = Terminal(log.logger, folder / "tiny", SimpleNamespace(**wanted | settings))
    watched.watch()
    watched.jobs_come(jobs, is_dry_run=False, is_local=True)
    return watched


def test_a_training_is_one_line_with_how_it_ended(log: Log, tmp_path: Path) -> None:
    watching(log, tmp_path, [("train", RUN), ("train", {**RUN, "seed": "1"}), ("measure", RUN)])
    state = tmp_path / "tiny/runs/digits/x1/seed0/state"
    state.mkdir(parents=True)
    content = {"status": "diverged", "step": 7, "valid_nll": 38.514, "unit": "nats"}
    (state / "progress.json").write_text(json.dumps(content))
    named = len(log.shown)
    assert str(log.file.name) in log.shown[0]
    log.say("Select jobs to execute...")
    log.train(3, RUN)
    log.train(4, {**RUN, "seed": "1"})
    log.say(None, LogEvent.PROGRESS, done=2, total=3)
    log.say("rule measure:", LogEvent.JOB_INFO, **job_info(5, "measure", RUN))
    log.say("Finished jobid: 5", LogEvent.JOB_FINISHED, job_id=5)
    log.say(None, LogEvent.PROGRESS, done=3, total=3)
    first, second, end = log.shown[named:]
    assert first.endswith(": digits/x1/seed0 diverged after 7 steps, valid NLL 38.51 nats (1 of 2)")
    assert second.endswith(": digits/x1/seed1 is trained (2 of 2)")
    assert end == "3 of 3 steps (100%) done"
    assert "Select jobs to execute..." in log.file.read_text()
    assert "2 of 3 steps" in log.file.read_text()


def test_of_many_trainings_a_summary_tells(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "SUMMARY_S", 0.02)
    jobs = [("train", {**RUN, "seed": str(seed)}) for seed in range(terminal.MANY + 1)]
    watched = watching(log, tmp_path, jobs)
    named = len(log.shown)
    log.train(0, jobs[0][1])
    log.say(None, LogEvent.PROGRESS, done=1, total=101)
    log.say("rule train:", LogEvent.JOB_INFO, **job_info(1, "train", jobs[1][1]))
    expected = "running 1 train; 1 of 101 trainings and 1 of 101 jobs done"
    for _ in range(500):
        if log.shown[named:] and log.shown[-1].endswith(expected):
            break
        watched._ended.wait(0.02)
    assert log.shown[-1].endswith(expected)
    assert not [line for line in log.shown if "digits" in line]
    watched._ended.wait(0.2)
    assert sum(line.endswith(expected) for line in log.shown) == 1  # not again while it is so


def test_a_failure_is_told_at_once_with_the_end_of_its_log(log: Log, tmp_path: Path) -> None:
    watching(log, tmp_path, [("train", RUN)])
    rule_log = tmp_path / "train.log"
    rule_log.write_text("".join(f"line {number}\n" for number in range(1000)))
    about = {"rule_msg": None, "conda_env": None, "shellcmd": "python -m model.train", "aux": {}}
    info = job_info(3, "train", RUN) | about | {"log": [str(rule_log), "missing.log"]}
    log.say("Error in rule train", LogEvent.JOB_ERROR, **info)
    assert log.shown.count("Error in rule train:") == 1
    start = log.shown.index(f"The end of {rule_log}:")
    assert log.shown[start + 1 : start + 21] == [f"line {number}" for number in range(980, 1000)]
    assert "line 979" not in log.shown
    assert "line 979" in log.file.read_text()


@pytest.mark.parametrize("asked", ["verbose", "printshellcmds", "debug_dag"])
def test_who_asks_for_all_gets_all(log: Log, tmp_path: Path, asked: str) -> None:
    watching(log, tmp_path, [("train", RUN)], **{asked: True})
    log.say("Building DAG of jobs...")
    log.train(3, RUN)
    assert "Building DAG of jobs..." in log.shown
    assert "rule train:" in log.shown
    assert not [line for line in log.shown if "What each job does" in line]


def test_quiet_is_quieter(log: Log, tmp_path: Path) -> None:
    quiet = {Quietness.PROGRESS, Quietness.RULES}  # of `--quiet`
    watching(log, tmp_path, [("train", RUN)], quiet=quiet)
    log.train(3, RUN)
    assert log.shown == []


def test_what_an_executor_says_and_warnings_are_shown(log: Log, tmp_path: Path) -> None:
    watching(log, tmp_path, [("measure", RUN)])
    named = len(log.shown)
    log.logger.warning("the disk is full")
    record = log.logger.makeRecord(
        *("test", logging.INFO, "/x/snakemake_executor_plugin_submitit/screen.py", 1),
        *("submitit: job 7 requeued", (), None),
    )
    log.logger.handle(record)
    log.say("Job stats:", LogEvent.RUN_INFO)
    log.say("Job stats:", LogEvent.RUN_INFO)
    assert log.shown[named:] == ["the disk is full", "submitit: job 7 requeued", "Job stats:"]


@pytest.mark.parametrize("is_told", [True, False])
def test_snakemake_s_coroutine_of_sizes_is_no_warning(is_told: bool) -> None:
    """As when a resource asks for `input.size_mb` while Snakemake's event loop runs."""
    code = f"""
import asyncio, contextlib
from snakemake.iocontainers import InputFiles
from study.head.guard import without_warning_of_sizes

if {is_told}:
    without_warning_of_sizes()

async def ask():
    with contextlib.suppress(Exception):
        InputFiles(["x"]).size_mb

asyncio.run(ask())
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("was never awaited" in done.stderr) == (not is_told)
