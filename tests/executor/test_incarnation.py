"""Several starts of one job, on files as they share them: which one counts, and what others do."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit import incarnation
from snakemake_executor_plugin_submitit.incarnation import (
    EXIT_CODE,
    Incarnation,
    newest,
    owner_file,
    record_file,
)
from snakemake_executor_plugin_submitit.ledger import Entry, Ledger

ENTRY = Entry(key="a", job_id="7", submission="s", fingerprint="f")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incarnation, "LOOK_AGAIN_S", (0.0,))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.put([ENTRY])
    return ledger


@pytest.fixture
def old(tmp_path: Path, ledger: Ledger) -> Incarnation:
    """The first start, which has begun."""
    (tmp_path / "s").mkdir()
    start = Incarnation(
        folder=str(tmp_path),
        submission="s",
        job_id="7",
        restarts=0,
        key="a",
        ledger=str(ledger.path),
    )
    start.claim()
    return start


@pytest.fixture
def new(old: Incarnation) -> Incarnation:
    """The second one, which has not."""
    return replace(old, restarts=1)


def test_the_newest_start_counts(old: Incarnation, new: Incarnation) -> None:
    assert not old.is_superseded()
    assert not old.is_overtaken()
    new.claim()
    assert (old.is_superseded(), new.is_superseded()) == (True, False)
    assert (old.is_overtaken(), new.is_overtaken()) == (True, False)


def test_an_old_start_that_begins_late_takes_nothing_back(
    old: Incarnation, new: Incarnation
) -> None:
    new.claim()
    old.claim()
    assert old.is_superseded()
    assert not new.is_superseded()


def test_an_old_start_that_was_frozen_while_it_claimed_is_found_out(
    tmp_path: Path, old: Incarnation, new: Incarnation
) -> None:
    new.claim()
    owner_file(tmp_path, "s", "7").write_text("0")  # between its look and this
    assert not new.is_overtaken()
    assert newest(tmp_path, "s", "7") == 1
    assert old.is_overtaken()


def test_a_job_that_was_submitted_again_is_superseded(old: Incarnation, ledger: Ledger) -> None:
    ledger.put([replace(ENTRY, job_id="8", submission="t")])
    assert old.is_superseded()
    # By a job of the same id, too.
    ledger.put([replace(ENTRY, submission="t")])
    assert old.is_superseded()


def test_a_job_that_the_head_is_done_with_is_superseded(
    tmp_path: Path, old: Incarnation, ledger: Ledger
) -> None:
    """At each moment: the head removes the files first, and then drops the job."""
    owner_file(tmp_path, "s", "7").unlink()
    assert old.is_overtaken()
    assert old.is_superseded()
    assert newest(tmp_path, "s", "7") is None
    ledger.drop(["a"])
    assert old.is_superseded()


def test_a_cancelled_job_may_save(old: Incarnation, ledger: Ledger) -> None:
    ledger.put([replace(ENTRY, cancelled=True)])
    assert not old.is_superseded()


@pytest.mark.parametrize("name", ["ledger.jsonl", "s/7_owner"])
def test_a_file_that_is_missing_for_a_moment_is_looked_at_again(
    tmp_path: Path, old: Incarnation, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    hidden = tmp_path / "hidden"
    (tmp_path / name).rename(hidden)
    monkeypatch.setattr(time, "sleep", lambda seconds: hidden.replace(tmp_path / name))
    assert not old.is_superseded()


def test_while_the_disk_is_away_nobody_knows(tmp_path: Path, old: Incarnation) -> None:
    owner_file(tmp_path, "s", "7").write_bytes(b"\0\0")
    with pytest.raises(OSError, match="damaged"):
        old.is_superseded()


def test_each_start_leaves_a_record_of_its_own(
    tmp_path: Path, old: Incarnation, new: Incarnation
) -> None:
    new.write_record({"status": "done"})
    old.write_record({"status": "failed"})
    texts = [record_file(tmp_path, "s", "7", restarts).read_text() for restarts in (0, 1)]
    assert texts == ['{"status": "failed"}', '{"status": "done"}']
    # Once the head has removed the folder, nothing is left behind.
    for path in (tmp_path / "s").iterdir():
        path.unlink()
    (tmp_path / "s").rmdir()
    with pytest.raises(FileNotFoundError):
        replace(old, restarts=2).write_record({})
    assert not record_file(tmp_path, "s", "7", 2).exists()


SNAKEFILE = """\
rule all:
    output: 'made.txt'
    shell: '{command}'
"""


@pytest.mark.slow
@pytest.mark.parametrize("is_superseded", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        "exit 1",  # Snakemake deletes the outputs before
        "echo new > {output}; touch failing; sleep 3; exit 1",  # and after
    ],
)
def test_the_snakemake_of_an_old_start_deletes_nothing(
    tmp_path: Path,
    old: Incarnation,
    new: Incarnation,
    is_superseded: bool,
    command: str,
) -> None:
    """As a plain `snakemake`, without `--executor`, as it runs on the node."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE.replace("{command}", command))
    made = tmp_path / "made.txt"
    is_late = "failing" in command
    if not is_late:
        made.write_text("of the new start\n")
        if is_superseded:
            new.claim()
    process = subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--force", "made.txt"],
        cwd=tmp_path,
        env={**old.in_environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if is_late:
        deadline = time.monotonic() + 60
        while not (tmp_path / "failing").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        made.write_text("of the new start\n")
        if is_superseded:
            new.claim()
    assert process.wait(60) == (EXIT_CODE if is_superseded else 1)
    assert made.exists() is is_superseded
    if is_superseded:
        assert made.read_text() == "of the new start\n"


def test_a_process_that_is_no_snakemake_is_left_alone(old: Incarnation) -> None:
    package = "snakemake_executor_plugin_submitit"
    code = f"import {package}.runner, sys; print('snakemake.jobs' in sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={**old.in_environment(), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout == "False\n"
