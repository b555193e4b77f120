"""The user's command: when it is run, and what it gets."""

import time
from pathlib import Path

import pytest
import test_status
from test_status import write_log
from written_results import write_run

from study import notify
from study.notify import Notifier
from study.planning.study import Run, Study

X1, X1_AGAIN = Run("digits", "x1", 0), Run("digits", "x1", 1)


study = test_status.study  # the fixture


def notifier(tmp_path: Path, study: Study, command: str) -> Notifier:
    object.__setattr__(study.file, "notify", command)
    return Notifier(study, tmp_path / "results")


def wait_for(path: Path, lines: int) -> list[str]:
    deadline = time.monotonic() + 60
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return path.read_text().splitlines()


def test_it_is_told_at_once_and_at_the_end(
    tmp_path: Path, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "LOOK_S", 0.05)
    monkeypatch.setattr(notify, "PATIENCE", 0)
    told = tmp_path / "told"
    command = f'echo "$STUDY $STUDY_EVENT $STUDY_RUN: $STUDY_MESSAGE" >> {told}'
    write_log(tmp_path, "error: of the last time\n")
    notifying = notifier(tmp_path, study, command)
    notifying.start()
    config = study.run_config(X1_AGAIN)
    write_run(tmp_path / "results/tiny", "digits", "x1", 1, config=config, status="diverged")
    (line,) = wait_for(told, 1)  # maybe before the evaluation has been written
    about = "tiny diverged digits/x1/seed1: tiny: digits/x1/seed1 diverged: after 700 steps"
    assert line.startswith(about)
    # It failed before, and fails again: its log is another one.
    log = write_log(tmp_path, "error: no GPU\n")
    assert wait_for(told, 2)[1] == (
        f"tiny failed digits/x1/seed0: tiny: digits/x1/seed0 failed: no GPU (log: {log})"
    )
    notifying.end(is_success=False)
    lines = wait_for(told, 3)
    assert len(lines) == 3
    assert lines[2].startswith("tiny error : tiny: 4 runs: 1 failed, 1 diverged, 2 waiting")


def test_what_happens_in_between_is_told_at_the_end(tmp_path: Path, study: Study) -> None:
    told = tmp_path / "told"
    notifying = notifier(tmp_path, study, f'echo "$STUDY_EVENT" >> {told}')
    notifying.start()
    write_log(tmp_path, "error: no GPU\n")
    notifying.end(is_success=True)
    assert told.read_text().splitlines() == ["failed", "finished"]


def test_a_command_that_fails_is_a_warning(
    tmp_path: Path, study: Study, capsys: pytest.CaptureFixture[str]
) -> None:
    notifier(tmp_path, study, "exit 3").end(is_success=True)
    assert capsys.readouterr().err == "warning: notify: the command failed (exit code 3)\n"


def test_without_a_command_nothing_is_looked_at(tmp_path: Path, study: Study) -> None:
    object.__setattr__(study.file, "notify", None)
    silent = Notifier(study, tmp_path / "results")
    silent.start()
    silent.end(is_success=True)
    assert not silent._thread.is_alive()
