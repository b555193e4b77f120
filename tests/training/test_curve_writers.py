"""Learning curves for TensorBoard and Weights & Biases: what history.parquet has, each once."""

import json
import logging
import math
import struct
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from examples import tiny_run
from trainings import DATA, train_on_noise

from model.config import ConfigError
from model.training.curve_writers import WriterName, check_installed
from model.training.state import Training
from model.training.state_files import state_files

RUN = tiny_run(train={"log_every": 2, "validate_every": 4, "iterations": 12})
Point = tuple[str, int, float]  # nll_nats/valid_ema, its step, its value


def interrupted(folder: Path, name: WriterName) -> Training:
    """A training that is stopped at step 4, then killed at step 8, then ended."""
    train_on_noise(RUN, folder, stop_after=4, report_to=[name])
    train_on_noise(RUN, folder, stop_after=8, report_to=[name])
    newest, *_ = state_files(states(folder))
    assert newest.step == 8
    newest.path.unlink()  # steps 5 to 8 are done again
    return train_on_noise(RUN, folder, report_to=[name])


def states(folder: Path) -> Path:
    return folder / RUN.identity(DATA)


def points_of(training: Training) -> list[Point]:
    return sorted(
        (f"{column}/{row['split']}_{row['weights']}", row["step"], number)
        for row in training.curve.rows(training.run.train)
        for column, number in row.items()
        if column not in ("step", "split", "weights") and number is not None
    )


def assert_same_points(found: list[Point], training: Training) -> None:
    expected = points_of(training)
    assert Counter((tag, step) for tag, step, _ in found) == {(t, s): 1 for t, s, _ in expected}
    for (_, _, value), (_, _, wanted) in zip(sorted(found), expected, strict=True):
        assert math.isclose(value, wanted, rel_tol=1e-6)  # TensorBoard's are of 32 bits


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own imports
def test_tensorboard_has_each_point_once_after_steps_that_were_done_again(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    training = interrupted(tmp_path, "tensorboard")
    reader = EventAccumulator(str(states(tmp_path)), {"scalars": 0})  # 0: all of them
    reader.Reload()
    tags = reader.Tags()["scalars"]
    found = [(tag, point.step, point.value) for tag in tags for point in reader.Scalars(tag)]
    assert_same_points(found, training)
    assert len(list(states(tmp_path).glob("events.out.tfevents.*"))) == 1
    assert train_on_noise(RUN, tmp_path / "plain").curve.rows(RUN.train) == training.curve.rows(
        RUN.train
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of its own imports
def test_wandb_has_each_point_once_in_one_offline_run(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    training = interrupted(tmp_path, "wandb")
    (run,) = (states(tmp_path) / "wandb").glob("offline-run-*")
    (file,) = run.glob("*.wandb")
    assert file.stem == f"run-{RUN.identity(DATA)}"
    assert_same_points(wandb_points(file), training)


def wandb_points(file: Path) -> list[Point]:
    """The history in the file of an offline run; its package has no reader for Python."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for content in leveldb_records(file.read_bytes(), header=7):
        record: Any = wandb_internal_pb2.Record()
        record.ParseFromString(content)
        if record.WhichOneof("record_type") == "history":
            step = record.history.step.num
            for item in record.history.item:
                name = item.key or "/".join(item.nested_key)
                if not name.startswith("_"):
                    found.append((name, step, float(json.loads(item.value_json))))
    return found


def leveldb_records(content: bytes, header: int) -> Iterator[bytes]:
    """The records of LevelDB's log format: in blocks of 32 KiB, each record in one part or more."""
    position, record = header, b""
    while position + 7 <= len(content):
        if (room := 2**15 - position % 2**15) < 7:
            position += room
            continue
        _checksum, length, kind = struct.unpack("<IHB", content[position : position + 7])
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # the only part, the last part
            yield record
            record = b""


def test_a_writer_that_cannot_write_stops_no_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setitem(sys.modules, "model.training.tensorboard_writer", None)
    assert train_on_noise(RUN, tmp_path, report_to=["tensorboard"]).status == "finished"
    (line,) = caplog.messages
    assert line.startswith("report_to tensorboard: ")
    assert line.endswith("; the training goes on without it")


def test_what_is_not_installed_is_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ConfigError, match="tensorboard is not installed; pip install tensorboard"):
        check_installed(["tensorboard"])
