"""Handing jobs to submitit, with an sbatch that answers what a test wants."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from snakemake_executor_plugin_submitit.runner import JobRunner
from snakemake_executor_plugin_submitit.sbatch_errors import (
    Refused,
    SubmissionError,
    Unavailable,
)
from snakemake_executor_plugin_submitit.submission import submit

RUNNER = JobRunner(
    command="true", key="a", ledger=None, time_limit_s=60.0, signal_delay_s=20.0, requeue_limit=1
)


@pytest.fixture
def sbatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Sets what sbatch does; the script that it was given last is then named in `given`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def install(action: str) -> None:
        for name, text in (("srun", "true"), ("sbatch", f"echo $1 > {tmp_path}/given\n{action}")):
            command = folder / name
            command.write_text(f"#!/bin/bash\n{text}\n")
            command.chmod(0o755)

    return install


def failure(folder: Path) -> SubmissionError:
    (folder / "jobs").mkdir()
    with pytest.raises(SubmissionError) as error:
        submit(folder / "jobs", "slurm", "train", {"timeout_min": 1}, [RUNNER, RUNNER], 0)
    return error.value


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("echo Socket timed out on send/recv operation >&2; exit 1", Unavailable),
        ("echo welcome to our cluster", SubmissionError),
        ("kill -9 $$", SubmissionError),
    ],
)
def test_an_error_after_which_jobs_may_exist_names_their_submission(
    sbatch: Callable[[str], None], tmp_path: Path, action: str, kind: type[SubmissionError]
) -> None:
    sbatch(action)
    error = failure(tmp_path)
    assert type(error) is kind
    given = Path((tmp_path / "given").read_text().strip())
    assert error.submission == given.parent.name
    assert list((tmp_path / "jobs").iterdir()) == []  # nothing is left behind


def test_after_a_refusal_there_is_nothing_to_look_for_and_it_is_not_printed(
    sbatch: Callable[[str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sbatch("echo sbatch: error: Invalid qos specification >&2; exit 1")
    error = failure(tmp_path)
    assert type(error) is Refused
    assert error.submission is None
    assert list((tmp_path / "jobs").iterdir()) == []
    assert capsys.readouterr().err == ""


def test_jobs_are_those_of_the_array_that_sbatch_names(
    sbatch: Callable[[str], None], tmp_path: Path
) -> None:
    sbatch("echo Submitted batch job 12")
    folder = tmp_path / "jobs"
    folder.mkdir()
    submission, jobs = submit(folder, "slurm", "train", {"timeout_min": 1}, [RUNNER, RUNNER], 0)
    assert [job.job_id for job in jobs] == ["12_0", "12_1"]
    assert {file.name for file in (folder / submission).iterdir()} == {
        "12_submission.sh",
        "12_0_submitted.pkl",
        "12_1_submitted.pkl",
    }


def test_a_job_of_an_id_that_was_given_away_again_finds_no_file_of_the_old_one(
    sbatch: Callable[[str], None], tmp_path: Path
) -> None:
    sbatch("echo Submitted batch job 12")
    folder = tmp_path / "jobs"
    folder.mkdir()
    found = [submit(folder, "slurm", "train", {"timeout_min": 1}, [RUNNER], 0) for _ in range(2)]
    (old, (old_job,)), (new, (new_job,)) = found
    assert old != new
    assert old_job.job_id == new_job.job_id == "12"
    assert old_job.paths.folder != new_job.paths.folder
