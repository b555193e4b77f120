"""The folder of results: what is read there while jobs still write."""

import pickle
from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit.results import Results, array_id
from snakemake_executor_plugin_submitit.runner import Outcome, saves_file


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "jobs")


def leave(results: Results, job_id: str, content: bytes) -> None:
    (results.folder / f"{job_id}_0_result.pkl").write_bytes(content)


def test_jobs_that_left_a_result(results: Results) -> None:
    leave(results, "7", b"")
    leave(results, "12_3", b"")
    (results.folder / "8_0_result.pkl.save_tmp").touch()
    (results.folder / "9_submitted.pkl").touch()
    assert results.ids() == {"7", "12_3"}


@pytest.mark.parametrize(
    ("value", "outcome"),
    [
        (("success", Outcome("done")), Outcome("done")),
        (("success", Outcome("interrupted", "no")), Outcome("interrupted", "no")),
        (("error", "Traceback\n  File x\nValueError: y\n"), Outcome("failed", "ValueError: y")),
        (("success", "something else"), Outcome("failed", "something else")),
    ],
)
def test_what_a_job_left(results: Results, value: object, outcome: Outcome) -> None:
    leave(results, "7", pickle.dumps(value))
    assert results.get("7") == outcome


def test_a_job_that_left_nothing(results: Results) -> None:
    assert results.get("7") is None


def test_a_result_that_is_not_all_there_yet(results: Results) -> None:
    leave(results, "7", b"")
    assert results.get("7") is None


def test_a_result_that_cannot_be_read_is_a_failure(results: Results) -> None:
    leave(results, "7", b"no pickle")
    outcome = results.get("7")
    assert outcome is not None
    assert outcome.status == "failed"
    assert outcome.detail.startswith("unreadable result: ")


def test_whether_a_job_saves_its_state(results: Results) -> None:
    assert not results.can_resume("7")
    saves_file(results.folder, "7").touch()
    assert results.can_resume("7")


def files(results: Results) -> set[str]:
    return {file.name for file in results.folder.iterdir()}


def test_all_files_of_a_job_are_removed(results: Results) -> None:
    for name in ("7_submitted.pkl", "7_0_result.pkl", "7_0_log.out", "7_saves", "key.inputs"):
        (results.folder / name).touch()
    (results.folder / "7_submission.sh").touch()
    (results.folder / "70_submission.sh").touch()
    results.remove("7", "key", others=["70", "8_7"])
    assert files(results) == {"70_submission.sh"}
    results.remove("7", "key", others=[])  # what is not there need not be removed


def test_the_script_of_an_array_goes_with_its_last_job(results: Results) -> None:
    (results.folder / "12_submission.sh").touch()
    results.remove("12_0", "key", others=["12_0", "12_1"])
    assert files(results) == {"12_submission.sh"}
    results.remove("12_1", "key", others=["7"])
    assert files(results) == set()


def test_the_array_of_a_job() -> None:
    assert array_id("12_3") == array_id("12") == "12"
