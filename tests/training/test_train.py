"""Training as a user runs it: resumed bit for bit, stopped by signals, diverging as a result."""

import contextlib
import fcntl
import json
import os
import signal
import struct
import subprocess
import termios
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from examples import RGB, tiny_run
from options import random_images
from safetensors.torch import load_file
from trainings import (
    ROOT,
    Process,
    assert_same_result,
    assert_same_state,
    before_step,
    command,
    raise_twice,
    run_dir,
    summary,
    train,
    train_on_noise,
)

from model.config import ModelConfig
from model.data.dataset_info import load_info
from model.network.hvae import HVAE
from model.randomness import Purpose, image_generators, make_generator
from model.training.checkpoints import Checkpoints
from model.training.state import Training
from model.training.warmup import kl_weight_at


def test_results_are_as_documented(tmp_path: Path, data_dir: Path) -> None:
    run = tiny_run()
    directory = run_dir(tmp_path, run)
    assert train(directory, data_dir) == 0
    found = summary(directory)
    assert found["status"] == "finished"
    assert found["step"] == 12
    assert found["config_hash"] == run.hash
    assert found["num_parameters"] == HVAE(run.model).num_parameters
    assert found["stochastic_depth"] == 5
    assert found["resumes"] == found["skipped_updates"] == found["nonfinite_losses"] == 0
    assert found["dataset_sha256"] == load_info(data_dir, "digits").dataset_sha256
    assert found["settings"] == json.loads(json.dumps(run.settings))
    (segment,) = found["segments"]
    assert segment["versions"]["torch"] == torch.__version__
    assert (segment["first_step"], segment["last_step"]) == (0, 12)
    assert found["wall_seconds"] == segment["seconds"] > 0
    assert found["peak_memory_bytes"] == segment["peak_memory_bytes"] > 50e6
    history = pd.read_parquet(directory / "history.parquet")
    train_rows = history[history.split == "train"]
    assert list(train_rows.step) == [4, 8, 12]
    valid_rows = history[history.split == "valid"]
    assert list(valid_rows.step) == [5, 5, 10, 10, 12, 12]
    assert list(valid_rows.weights) == ["ema", "raw"] * 3
    assert history.nll_nats.notna().all()
    total = history.rate_nats + history.distortion_nats
    pd.testing.assert_series_equal(total, history.nll_nats, check_names=False, rtol=1e-5)
    assert list(train_rows.learning_rate) == [0.003, 0.003, 0.003]  # warmed up after 4 iterations
    assert set(load_file(directory / "model.safetensors")) == set(HVAE(run.model).state_dict())


LONG = {"iterations": 24, "validate_every": 10, "log_every": 3}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """An uninterrupted training."""
    directory = run_dir(tmp_path_factory.mktemp("straight"), tiny_run(train=LONG))
    assert train(directory, data_dir) == 0
    return directory


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR2])
def test_stopped_by_a_signal_and_resumed_equals_uninterrupted(
    tmp_path: Path,
    data_dir: Path,
    straight: Path,
    number: signal.Signals,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stopped = run_dir(tmp_path, tiny_run(train=LONG))
    for step in (4, 13):
        with pytest.MonkeyPatch.context() as patch:
            before_step(patch, step, raise_twice(number))
            assert train(stopped, data_dir) == 128 + number
        assert f"saved at step {step + 1}; run the same command again" in caplog.text
        assert not (stopped / "model.safetensors").exists()
    assert train(stopped, data_dir) == 0
    assert summary(stopped)["resumes"] == 2
    assert_same_result(stopped, straight)


def test_killed_without_warning_resumes_from_the_last_checkpoint(
    tmp_path: Path, data_dir: Path, straight: Path
) -> None:
    """In a process of its own, whose log is plain lines without a progress bar."""
    killed = run_dir(tmp_path, tiny_run(train={**LONG, "iterations": 100_000}))
    process = Process(killed, data_dir, "--checkpoint-minutes", "0")
    process.wait_for_step(9)
    process.send_signal(signal.SIGKILL)
    exit_code, rest = process.end()
    assert exit_code == -signal.SIGKILL
    assert "\r" not in rest
    reached = int(max((killed / "state").glob("*/step*.pt")).name[4:13])
    longer = tiny_run(train={**LONG, "iterations": reached + 5})
    run_dir(tmp_path, longer)
    assert train(killed, data_dir) == 0
    assert summary(killed)["resumes"] == 1
    uninterrupted = run_dir(tmp_path, longer, "straight")
    assert train(uninterrupted, data_dir) == 0
    weights = "model.safetensors"
    assert (killed / weights).read_bytes() == (uninterrupted / weights).read_bytes()


def test_a_finished_run_is_not_trained_again(tmp_path: Path, data_dir: Path) -> None:
    """Snakemake deletes declared outputs: they come back from the state, to the last byte."""
    directory = run_dir(tmp_path, tiny_run())
    assert train(directory, data_dir) == 0
    names = ("model.safetensors", "history.parquet", "train.json")
    first = {name: (directory / name).read_bytes() for name in names}
    states = sorted((directory / "state").rglob("*.pt"))
    for name in first:
        (directory / name).unlink()
    # What changes no result may have another value now: this one was made with the old one.
    run_dir(tmp_path, tiny_run(train={"log_every": 3, "validate_every": 4}))
    assert train(directory, data_dir) == 0
    assert {name: (directory / name).read_bytes() for name in names} == first
    assert sorted((directory / "state").rglob("*.pt")) == states


def test_a_diverging_run_ends_as_a_result(tmp_path: Path, data_dir: Path) -> None:
    run = tiny_run(train={"skip_threshold": 1e-9, "iterations": 50})
    directory = run_dir(tmp_path, run)
    assert train(directory, data_dir) == 0
    found = summary(directory)
    assert found["status"] == "diverged"
    assert found["step"] == found["skipped_updates"] == 5
    weights = load_file(directory / "model.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values())
    assert train(directory, data_dir) == 0  # and stays one
    assert summary(directory)["step"] == 5


def test_a_loss_that_is_not_finite_changes_no_weight(tmp_path: Path) -> None:
    """An update is skipped at a NaN even where no gradient norm is too large."""
    run = tiny_run(train={"skip_threshold": 1e30, "diverged_after": 3})

    def spoil(model: HVAE, _inputs: object) -> None:
        model.bottom_up.in_conv.bias.data.fill_(float("nan"))

    def build_broken(config: ModelConfig) -> HVAE:
        model = HVAE(config)
        model.register_forward_pre_hook(spoil)
        return model

    training = train_on_noise(run, tmp_path, build=build_broken)
    assert training.status == "diverged"
    assert training.progress.skipped_updates == training.progress.nonfinite_losses == 3
    assert training.ema.updates == 0
    initial = HVAE(run.model)
    initial.initialise(make_generator(run.seed, Purpose.INITIALISATION))
    for name, tensor in initial.state_dict().items():
        if name != "bottom_up.in_conv.bias":
            assert torch.equal(training.model.state_dict()[name], tensor), name


def test_an_infinite_gradient_is_skipped_without_a_threshold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tiny_run(train={"skip_threshold": 1e30, "diverged_after": 3})
    infinite = torch.tensor(float("inf"))
    monkeypatch.setattr("model.training.step.clip_grad_norm_", lambda *_: infinite)
    training = train_on_noise(run, tmp_path)
    assert training.status == "diverged"
    assert training.ema.updates == training.progress.nonfinite_losses == 0


def test_a_posterior_that_explodes_is_seen_skipped_counted_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A log sigma of +50 everywhere: NaN through the towers, and a run that ends as diverged."""
    run = tiny_run(train={"diverged_after": 3})

    def build_wide(config: ModelConfig) -> HVAE:
        model = HVAE(config)

        def widen(*_: object) -> None:
            for block in model.top_down.blocks:
                block.posterior.conv4.bias.data[block.zdim :] = 50.0

        model.register_forward_pre_hook(widen)
        return model

    training = train_on_noise(run, tmp_path, build=build_wide)
    assert training.status == "diverged"
    assert training.progress.step == training.progress.skipped_updates == 3
    assert training.ema.updates == 0
    told = [record.message for record in caplog.records if "update skipped" in record.message]
    assert len(told) == 1
    assert told[0].startswith("step 0: update skipped, NLL ")
    assert "after 3 in a row the run ends as diverged" in told[0]


@pytest.mark.parametrize(("model", "text"), [({}, " nats (rate "), (RGB, " bits/dim (rate ")])
def test_the_log_speaks_the_unit_of_the_tables(
    model: dict[str, Any], text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    run = tiny_run(model=model, train={"iterations": 4})
    training = train_on_noise(run, tmp_path)
    line = next(record.message for record in caplog.records if "NLL" in record.message)
    assert text in line
    nats = training.curve.rows(run.train)[0]["nll_nats"]
    in_unit = nats / (8 * 8 * 3 * 0.6931471805599453) if model else nats
    assert f"NLL {in_unit:.4g} " in line


def test_a_successor_takes_the_run_over(
    tmp_path: Path,
    data_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The trainer of a node that came back notices that the requeued job has the run now."""
    directory = run_dir(tmp_path, tiny_run())
    successor = Checkpoints(directory / "state", "of the successor")
    before_step(monkeypatch, 5, successor.claim)
    assert train(directory, data_dir) == 1
    assert "is now written by" in capsys.readouterr().err
    assert not list((directory / "state").rglob("*.pt"))
    successor.check_ownership()


def test_mistakes_are_one_line(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(tmp_path, data_dir) == 1
    directory = run_dir(tmp_path, tiny_run())
    assert train(directory, tmp_path / "nowhere") == 1
    errors = capsys.readouterr().err.strip().splitlines()
    assert [line.split(":")[0] for line in errors] == ["error", "error"]
    assert "config.yaml" in errors[0]
    assert "preprocess digits" in errors[1]


def test_progress_bar_on_a_terminal(tmp_path: Path, data_dir: Path) -> None:
    directory = run_dir(tmp_path, tiny_run())
    controller, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    subprocess.run(command(directory, data_dir), cwd=ROOT, stderr=terminal, check=True)
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # which is how Linux reports the closed terminal
        while chunk := os.read(controller, 65536):
            shown += chunk
    os.close(controller)
    assert b"12/12" in shown
    assert b"step/s" in shown


def test_the_weight_of_the_rate_rises_with_the_steps(tmp_path: Path) -> None:
    """A first step's gradient is that of distortion + rate / 4; the curve has the whole bound."""
    run = tiny_run(train={"iterations": 1, "kl_warmup_iterations": 4})
    assert [kl_weight_at(step, run.train) for step in (0, 1, 3, 9)] == [0.25, 0.5, 1.0, 1.0]
    row = train_on_noise(run, tmp_path).curve.last_row(run.train)

    model = HVAE(run.model)
    model.initialise(make_generator(run.seed, Purpose.INITIALISATION))
    images = random_images(run.model, run.train.batch_size, seed=0)
    noise = model.draw_noise(
        image_generators(run.seed, Purpose.TRAINING_NOISE, 0, images=range(len(images)))
    )
    bound = model(images, noise)
    (bound.distortion_nats + bound.rate_nats / 4).mean().backward()
    squares = [p.grad.square().sum() for p in model.parameters() if p.grad is not None]
    assert row["gradient_norm"] == pytest.approx(float(torch.stack(squares).sum()) ** 0.5)
    assert row["nll_nats"] == pytest.approx(float(bound.nll_nats.detach().mean()))


def test_a_shorter_run_is_the_longer_one_at_that_step(tmp_path: Path) -> None:
    """The ablation `training-length` stands on it, also inside the warm-ups and past the length."""
    train = {"kl_warmup_iterations": 10, "warmup_iterations": 6, "validate_every": 50}
    short = train_on_noise(tiny_run(train={**train, "iterations": 5}), tmp_path / "short")
    long = tiny_run(train={**train, "iterations": 12})
    stopped = train_on_noise(long, tmp_path / "long", stop_after=5)
    assert short.progress.step == stopped.progress.step == 5
    for name in ("model", "ema"):
        assert_same_state(*(_weights(training, name) for training in (short, stopped)))
    ended = train_on_noise(long, tmp_path / "straight")
    assert not torch.equal(ended.ema.model.top_down.gain, short.ema.model.top_down.gain)


def _weights(training: Training, name: str) -> dict[str, torch.Tensor]:
    model = training.ema.model if name == "ema" else training.model
    return model.state_dict()
