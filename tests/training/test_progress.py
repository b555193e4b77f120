"""What can be seen of a training while it trains, and that looking changes nothing."""

import json
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from examples import tiny_run
from trainings import (
    Process,
    assert_same_result,
    before_step,
    raise_twice,
    run_dir,
    train,
    train_on_noise,
)

from model.table import read_parquet
from model.training import progress
from model.training.progress_file import duration
from model.training.step import Step


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files at each step, lines whenever there is nothing else to say."""
    monkeypatch.setattr(progress, "WRITE_S", 0.0)
    monkeypatch.setattr(progress, "LINE_S", 0.0)


def told(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "state/progress.json").read_text())
    return content


def test_a_reader_sees_whole_files_and_changes_no_bit(
    tmp_path: Path, data_dir: Path, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = run_dir(tmp_path, tiny_run(train={"log_every": 1, "iterations": 40}))
    ended, seen = threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            if (watched / "state/history.parquet").exists():
                # It opens the file once: pq.read_table does so twice, and may meet two versions.
                steps = read_parquet(watched / "state/history.parquet")["step"].to_pylist()
                seen.append((told(watched)["step"], steps))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert train(watched, data_dir) == 0
    finally:
        ended.set()
        reader.join()
    assert len({len(steps) for _, steps in seen}) > 3  # it grew under the reader's eyes
    for step, steps in seen:
        assert steps == sorted(steps)
        assert step >= steps[-1] - 1  # the other file is read a moment later
    final = pq.read_table(watched / "history.parquet")
    assert pq.read_table(watched / "state/history.parquet").to_pylist() == final.to_pylist()
    monkeypatch.undo()
    unwatched = run_dir(tmp_path, tiny_run(train={"log_every": 1, "iterations": 40}), "unwatched")
    assert train(unwatched, data_dir) == 0
    assert_same_result(watched, unwatched)


def test_the_file_says_how_far_and_who(
    tmp_path: Path, data_dir: Path, always: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "SLURM_JOB_ID": "75",
        "SLURM_ARRAY_JOB_ID": "71",
        "SLURM_ARRAY_TASK_ID": "4",
        "SLURM_RESTART_COUNT": "2",
    }.items():
        monkeypatch.setenv(name, value)
    directory = run_dir(tmp_path, tiny_run())
    seen: list[dict[str, Any]] = []
    before_step(monkeypatch, 9, lambda: seen.append(told(directory)))
    assert train(directory, data_dir) == 0
    (during,) = seen
    assert (during["status"], during["step"], during["iterations"]) == ("running", 9, 12)
    assert during["eta_seconds"] == pytest.approx(3 * during["seconds_per_iteration"])
    assert (during["job_id"], during["requeues"], during["pid"]) == ("71_4", 2, os.getpid())
    rows = pq.read_table(directory / "history.parquet").to_pylist()
    by_step = {(row["split"], row["weights"], row["step"]): row["nll_nats"] for row in rows}
    assert during["valid_nll"] == by_step["valid", "ema", 5]
    assert during["unit"] == "nats"
    assert progress._process({"SLURM_RESTART_COUNT": "?"})["requeues"] == 0
    after = told(directory)
    assert (after["status"], after["step"], after["eta_seconds"]) == ("finished", 12, 0)
    assert after["nll"] == by_step["train", "raw", 12]
    (identity,) = [path.name for path in (directory / "state").iterdir() if path.is_dir()]
    assert after["identity"] == identity


def test_how_a_training_ended(
    tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = run_dir(tmp_path, tiny_run(train={"diverged_after": 2}))
    with pytest.MonkeyPatch.context() as patch:
        before_step(patch, 3, raise_twice(signal.SIGTERM))
        assert train(directory, data_dir) == 128 + signal.SIGTERM
    assert (told(directory)["status"], told(directory)["step"]) == ("stopped", 4)

    def run_out_of_memory() -> None:
        raise RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")

    with pytest.MonkeyPatch.context() as patch:
        before_step(patch, 6, run_out_of_memory)
        with pytest.raises(RuntimeError):
            train(directory, data_dir)
    found = told(directory)
    assert (found["status"], found["step"], found["resumes"]) == ("failed", 6, 1)
    assert found["reason"] == "RuntimeError: CUDA out of memory. Tried to allocate 2 GiB"
    infinite = torch.tensor(float("inf"))
    monkeypatch.setattr("model.training.step.clip_grad_norm_", lambda *_: infinite)
    assert train(directory, data_dir) == 0
    assert told(directory)["status"] == "diverged"
    assert told(directory)["reason"] is None


def test_what_cannot_be_written_stops_no_training(
    tmp_path: Path, always: None, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "progress.json/in_the_way").mkdir(parents=True)
    training = train_on_noise(tiny_run(), tmp_path)
    assert training.status == "finished"
    told = [record.message for record in caplog.records if "cannot be told" in record.message]
    assert len(told) == 1
    assert "progress.json" in told[0]


def test_a_line_whatever_log_every_is(
    tmp_path: Path, always: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Its NLL is the mean over the steps since the last line."""
    caplog.set_level(logging.INFO)
    run = tiny_run(train={"log_every": 10, "iterations": 12, "validate_every": 12})
    training = train_on_noise(run, tmp_path)
    lines = [record.message for record in caplog.records]
    of_steps = [line for line in lines if "train raw" in line]
    assert [int(line.split("/")[0].removeprefix("step ")) for line in of_steps] == [*range(1, 13)]
    assert all(" s/iteration, " in line and line.endswith(" left") for line in of_steps)
    per_step = training.curve.rows(tiny_run(train={"log_every": 1}).train)
    means = [row["nll_nats"] for row in per_step if row["split"] == "train"]
    assert f"NLL {means[6]:.4g} " in of_steps[6]
    assert f"NLL {sum(means[:10]) / 10:.4g} " in of_steps[9]  # what the table has, too
    rows = training.curve.rows(run.train)
    assert [row["step"] for row in rows if row["split"] == "train"] == [10]
    assert any("valid: image 20/20" in line for line in lines)


def test_the_log_opens_with_what_is_trained(tmp_path: Path, data_dir: Path) -> None:
    process = Process(run_dir(tmp_path, tiny_run()), data_dir)
    code, text = process.end()
    assert code == 0
    first = text.splitlines()[0]
    for part in ("digits/x1/seed0: ", " parameters", "cpu", f"{data_dir / 'digits'}", "12 iter"):
        assert part in first


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5940, "99 min"),
        (11_100, "3 h 05 min"),
        (47 * 3600, "47 h 00 min"),
        (52 * 3600, "2 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_device_that_fails_is_the_reason_though_it_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingStep(Step):
        def __call__(self, *_inputs: object) -> None:
            self._training.add_step(torch.empty(5, device="meta"))  # numbers that never come
            raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr("model.training.loop.Step", FailingStep)
    with pytest.raises(RuntimeError, match="device-side assert"):
        train_on_noise(tiny_run(), tmp_path)
    found = json.loads((tmp_path / "progress.json").read_text())
    assert (found["status"], found["step"]) == ("failed", 1)
    assert found["reason"] == "RuntimeError: CUDA error: device-side assert triggered"
