"""The journal of submitted jobs: what the next head, and each job, reads in it."""

import errno
import fcntl
import json
from dataclasses import replace
from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit.ledger import Entry, Ledger, recorded

A = Entry(key="a", job_id="7", fingerprint="f")
B = Entry(key="b", job_id="12_3", fingerprint="g", restarts=2, cancelled=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder/ledger.jsonl"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_the_next_head_reads_what_was_put(path: Path) -> None:
    Ledger(path).put([A, B])
    assert list(Ledger(path)) == [A, B]
    assert Ledger(path).get("b") == B
    assert Ledger(path).get("c") is None


def test_the_last_line_of_a_key_is_valid(path: Path) -> None:
    ledger = Ledger(path)
    ledger.put([A, B])
    again = replace(A, job_id="8", restarts=1)
    ledger.put([again])
    assert ledger.get("a") == again
    assert list(Ledger(path)) == [again, B]


def test_what_is_dropped_is_forgotten_by_the_next_head_too(path: Path) -> None:
    ledger = Ledger(path)
    ledger.put([A, B])
    ledger.drop(["a", "never put"])
    assert list(ledger) == [B]
    assert list(Ledger(path)) == [B]


def test_what_is_dropped_may_be_put_again(path: Path) -> None:
    ledger = Ledger(path)
    ledger.put([A])
    ledger.drop(["a"])
    ledger.put([replace(A, job_id="8")])
    assert [entry.job_id for entry in Ledger(path)] == ["8"]


def test_entries_may_be_dropped_while_one_goes_through_them(path: Path) -> None:
    ledger = Ledger(path)
    ledger.put([A, B])
    for entry in ledger:
        ledger.drop([entry.key])
    assert list(ledger) == []


@pytest.mark.parametrize("torn", ['{"key": "b", "job_', '{"key": "b"', "\x00\x00", "7"])
def test_a_head_may_be_killed_while_it_writes(path: Path, torn: str) -> None:
    Ledger(path).put([A])
    with path.open("a") as file:
        file.write(torn)
    ledger = Ledger(path)
    assert list(ledger) == [A]
    # The next line is one of its own.
    ledger.put([B])
    assert list(Ledger(path)) == [A, B]


@pytest.mark.parametrize(
    "line",
    [
        '{"key": "b", "job_id": "8", "fingerprint": "f", "field_of_another_version": 1}',
        '{"key": "b", "job_id": "8"}',
        "not json",
        "",
    ],
)
def test_a_line_that_makes_no_sense_hides_no_other(path: Path, line: str) -> None:
    path.parent.mkdir()
    path.write_text(f"{line}\n{json.dumps({'key': 'a', 'job_id': '7', 'fingerprint': 'f'})}\n")
    assert list(Ledger(path)) == [A]


def test_a_head_that_is_alone_makes_it_one_line_for_each_job(path: Path) -> None:
    ledger = Ledger(path)
    for job_id in range(10):
        ledger.put([replace(A, job_id=str(job_id))])
    ledger.put([B])
    ledger.drop(["b"])
    assert len(lines(path)) == 12
    with Ledger(path).alone() as is_alone:
        assert is_alone
    assert [json.loads(line)["job_id"] for line in lines(path)] == ["9"]
    assert {file.name for file in path.parent.iterdir()} == {"ledger.jsonl", "guard"}


def test_a_head_is_not_alone_while_another_submits_and_knows_what_that_recorded(path: Path) -> None:
    this, other = Ledger(path), Ledger(path)
    with other.submitting():
        with this.alone() as is_alone:
            assert not is_alone
        other.put([A])
        other.put([A])
        with this.alone() as is_alone:
            assert not is_alone
    assert list(this) == [A]
    assert len(lines(path)) == 2  # the other may be writing
    with this.alone() as is_alone:
        assert is_alone
        with other.alone() as is_other_alone:
            assert not is_other_alone


def test_a_file_system_without_locks_is_no_place_to_be_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    ledger = Ledger(path)
    with ledger.submitting():
        ledger.put([A])
    with Ledger(path).alone() as is_alone:
        assert not is_alone
    assert list(Ledger(path)) == [A]


def test_nothing_to_record_writes_nothing(path: Path) -> None:
    ledger = Ledger(path)
    ledger.put([])
    ledger.drop([])
    assert not path.exists()


def test_a_job_asks_who_may_make_its_outputs(path: Path) -> None:
    assert recorded(path, "a") is None  # before the head has written anything
    ledger = Ledger(path)
    assert recorded(path, "a") is None
    ledger.put([A])
    assert recorded(path, "a") == A
    again = replace(A, job_id="8", submission="s")
    ledger.put([again])
    assert recorded(path, "a") == again
    ledger.drop(["a"])
    assert recorded(path, "a") is None
