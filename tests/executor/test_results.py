"""The folder of jobs' files: what is read there while jobs still write, and who may write."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from snakemake_interface_common.exceptions import ApiError

from snakemake_executor_plugin_submitit import results as results_module
from snakemake_executor_plugin_submitit.incarnation import owner_file, record_file, saves_file
from snakemake_executor_plugin_submitit.ledger import Entry
from snakemake_executor_plugin_submitit.results import Results, check_private
from snakemake_executor_plugin_submitit.runner import Outcome
from snakemake_executor_plugin_submitit.submitter import array_id

SEVEN = Entry(key="key", job_id="7", submission="s", fingerprint="f")
DONE = Outcome("done")


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path / "home/jobs")


def leave(results: Results, entry: Entry, outcome: Outcome) -> None:
    """What the node writes: the number of the start, and its record at the end."""
    (results.folder / entry.submission).mkdir(exist_ok=True)
    owner_file(results.folder, entry.submission, entry.job_id).write_text(str(outcome.restarts))
    leave_record(results, entry, json.dumps(asdict(outcome)), outcome.restarts)


def leave_record(results: Results, entry: Entry, text: str, restarts: int = 0) -> None:
    record_file(results.folder, entry.submission, entry.job_id, restarts).write_text(text)


@pytest.mark.parametrize(
    "outcome",
    [DONE, Outcome("interrupted", "no", restarts=2), Outcome("failed", exit_code=3)],
)
def test_what_a_job_left(results: Results, outcome: Outcome) -> None:
    leave(results, SEVEN, outcome)
    assert results.get(SEVEN) is None  # nobody has looked
    results.look()
    assert results.get(SEVEN) == outcome
    assert results.time(SEVEN) > 0
    assert results.get(replace(SEVEN, job_id="70")) is None


def test_the_record_of_the_newest_start_counts(results: Results) -> None:
    leave(results, SEVEN, Outcome("failed"))
    leave(results, SEVEN, Outcome("done", restarts=10))
    leave_record(results, SEVEN, json.dumps(asdict(Outcome("failed", restarts=9))), restarts=9)
    results.look()
    assert results.get(SEVEN) == Outcome("done", restarts=10)


def test_what_an_older_start_left_is_ignored_once_a_newer_one_has_begun(results: Results) -> None:
    leave(results, SEVEN, DONE)
    owner_file(results.folder, "s", "7").write_text("1")
    results.look()
    assert results.get(SEVEN) is None
    leave(results, SEVEN, Outcome("done", restarts=1))
    results.look()
    assert results.get(SEVEN) == Outcome("done", restarts=1)


def test_another_submission_of_the_same_id_finds_nothing(results: Results) -> None:
    leave(results, SEVEN, Outcome("failed"))
    results.look()
    again = replace(SEVEN, submission="t")
    assert results.get(again) is None
    results.remove(again, others=[])
    results.look()
    assert results.get(SEVEN) == Outcome("failed")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "done", "of_another_version": 1}'])
def test_a_record_that_cannot_be_read_is_a_failure(results: Results, text: str) -> None:
    leave(results, SEVEN, DONE)
    leave_record(results, SEVEN, text)
    results.look()
    outcome = results.get(SEVEN)
    assert outcome is not None
    assert outcome.status == "failed"
    assert outcome.detail.startswith("unreadable record ")


def test_a_record_names_no_code_to_be_run(results: Results, tmp_path: Path) -> None:
    leave(results, SEVEN, DONE)
    leave_record(results, SEVEN, f"cos\nsystem\n(S'touch {tmp_path}/run'\ntR.")  # a pickle
    results.look()
    assert (results.get(SEVEN) or DONE).status == "failed"
    assert not (tmp_path / "run").exists()


def test_whether_a_job_saves_its_state(results: Results) -> None:
    leave(results, SEVEN, DONE)
    assert not results.can_resume(SEVEN)
    saves_file(results.folder, "s", "7").touch()
    assert results.can_resume(SEVEN)


# --- Removing -------------------------------------------------------------------------------------


def files(results: Results) -> set[str]:
    root = results.folder
    return {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}


def test_all_files_of_a_job_and_of_its_submission_are_removed(results: Results) -> None:
    leave(results, SEVEN, DONE)
    leave(results, SEVEN, Outcome("done", restarts=2))
    names = ("submitted.pkl", "0_result.pkl", "0_log.out", "saves", "submission.sh", "owner.1.new")
    for name in names:
        (results.folder / f"s/7_{name}").touch()
    results.list_inputs("key", ["a", "b"])
    leave(results, replace(SEVEN, submission="other"), DONE)
    results.look()
    results.remove(SEVEN, others=["other"])
    assert files(results) == {"other/7_owner", "other.7.0.json"}
    assert not (results.folder / "s").exists()
    results.remove(SEVEN, others=[])  # what is not there need not be removed


def test_the_folder_of_a_submission_goes_with_its_last_job(results: Results) -> None:
    first, second = replace(SEVEN, job_id="12_0"), replace(SEVEN, job_id="12_1")
    for entry in (first, second):
        leave(results, entry, DONE)
    (results.folder / "s/12_submission.sh").touch()
    results.look()
    results.remove(first, others=["s"])
    assert files(results) == {"s/12_submission.sh", "s/12_1_owner", "s.12_1.0.json"}
    results.remove(second, others=[])
    assert files(results) == set()


def test_the_log_of_a_job_that_failed_stays_when_the_rest_of_its_array_goes(
    results: Results,
) -> None:
    done = replace(SEVEN, job_id="12_1")
    leave(results, done, DONE)
    (results.folder / "s/12_0_0_log.out").touch()
    results.look()
    results.remove(done, others=[])
    assert files(results) == {"s/12_0_0_log.out"}


def test_jobs_of_a_version_with_one_folder_for_all(results: Results) -> None:
    old = replace(SEVEN, submission="")
    (results.folder / "7_0_log.out").write_text("words")
    assert results.log(old).read_text() == "words"
    assert results.get(old) is None
    (results.folder / "8_submitted.pkl").touch()
    results.remove(old, others=[])
    assert files(results) == {"8_submitted.pkl"}


def test_what_heads_left_that_died_as_they_submitted_is_removed_later(results: Results) -> None:
    for submission in ("s", "lost"):
        leave(results, replace(SEVEN, submission=submission), DONE)
    assert results.sweep({"s"}, even_new=False) == set()
    assert len(files(results)) == 4  # another head may be about to record it
    long_ago = results_module.time.time() - 7200
    for path in results.folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    assert results.sweep({"s"}, even_new=False) == {"lost"}
    assert files(results) == {"s/7_owner", "s.7.0.json"}


def test_what_no_head_can_be_about_to_record_is_removed_at_once(results: Results) -> None:
    for submission in ("s", "lost"):
        leave(results, replace(SEVEN, submission=submission), DONE)
    assert results.sweep({"s"}, even_new=True) == {"lost"}
    assert files(results) == {"s/7_owner", "s.7.0.json"}


# --- Who may write --------------------------------------------------------------------------------


def test_the_folder_is_made_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o002)
    try:
        Results(tmp_path / "home/jobs")
    finally:
        os.umask(before)
    assert (tmp_path / "home/jobs").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["home", "home/jobs"])
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_a_folder_that_others_can_write_is_refused_in_one_line(
    tmp_path: Path, name: str, mode: int
) -> None:
    Results(tmp_path / "home/jobs")
    (tmp_path / name).chmod(mode)
    with pytest.raises(ApiError) as error:
        Results(tmp_path / "home/jobs")
    message = str(error.value)
    assert len(message.splitlines()) == 1
    command = message.partition("`")[2].partition("`")[0]
    assert os.system(command) == 0  # what it says helps
    Results(tmp_path / "home/jobs")


def test_a_folder_that_is_opened_to_others_later_is_not_read(results: Results) -> None:
    leave(results, SEVEN, DONE)
    results.folder.chmod(0o777)
    with pytest.raises(ApiError):
        results.look()
    assert results.get(SEVEN) is None


def test_another_user_s_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = os.stat_result((0o40700, 0, 0, 0, 54321, 0, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda self, **options: status)
    with pytest.raises(ApiError, match="belongs to user 54321"):
        check_private(tmp_path)


def test_the_array_of_a_job() -> None:
    assert array_id("12_3") == array_id("12") == "12"
