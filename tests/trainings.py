"""Trainings: as a user runs them, with the command and a folder, and without either."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from options import random_images
from torch import Tensor

from model.data.batches import TrainingBatches
from model.network.families import build_model
from model.network.generative_model import GenerativeModel
from model.randomness import Purpose, image_generators
from model.run_config import RunConfig
from model.train import main
from model.training.checkpoints import Checkpoints
from model.training.curve_writers import WriterName
from model.training.loop import train as train_loop
from model.training.ranks import Ranks
from model.training.state import Training, resume

ROOT = Path(__file__).parents[1]
DATA = "digest of the data"


def run_dir(parent: Path, run: RunConfig, name: str = "run") -> Path:
    directory = parent / name
    directory.mkdir(exist_ok=True)
    (directory / "config.yaml").write_text(run.dump())
    return directory


def train(directory: Path, data_dir: Path) -> int:
    return main([str(directory), "--data-dir", str(data_dir), "--device", "cpu"])


def summary(directory: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((directory / "train.json").read_text())
    return content


def before_step(monkeypatch: Any, step: int, action: Callable[[], None]) -> None:
    """Let something happen in this process when a training comes to a step, once."""
    batch_at = TrainingBatches.at
    waiting = [step]

    def at(self: TrainingBatches, step: int, share: range | None = None) -> Tensor:
        if step in waiting:
            waiting.clear()
            action()
        return batch_at(self, step, share)

    monkeypatch.setattr(TrainingBatches, "at", at)


def raise_twice(number: signal.Signals) -> Callable[[], None]:
    """A signal sent twice, as SLURM and the executor may both send it."""

    def action() -> None:
        signal.raise_signal(number)
        signal.raise_signal(number)

    return action


class NoSignal:
    """The stop flag of a training that is stopped by its batches."""

    signal: int | None = None


class RandomBatches:
    """Noise as batches; the one of a step depends on its number. Asks to stop after a step."""

    def __init__(self, run: RunConfig, stop_after: int | None = None) -> None:
        self.run = run
        self.stop_after = stop_after
        self.stop = NoSignal()

    def at(self, step: int, share: range) -> Tensor:
        if step + 1 == self.stop_after:
            self.stop.signal = signal.SIGTERM
        images = random_images(self.run.model, self.run.train.batch_size, seed=step)
        return images[share.start : share.stop]


def train_on_noise(
    run: RunConfig,
    directory: Path,
    *,
    ranks: Ranks | None = None,
    stop_after: int | None = None,
    build: Callable[..., GenerativeModel] = build_model,
    report_to: Iterable[WriterName] = (),
) -> Training:
    """Train in this process, from where the state in a folder stands, without data or command."""
    ranks = ranks or Ranks()
    training = Training(run, DATA, build(run.model), torch.device("cpu"), ranks)
    checkpoints = Checkpoints(directory, run.identity(DATA))
    if ranks.is_writer:
        checkpoints.claim()
    resume(training, checkpoints)
    batches = RandomBatches(run, stop_after)
    validation = random_images(run.model, run.train.validation_images)
    train_loop(training, batches, validation, checkpoints, batches.stop, 1e9, report_to)
    return training


def training_of(run: RunConfig, device: str = "cpu") -> Training:
    """A training at step 0."""
    return Training(run, DATA, build_model(run.model), torch.device(device), Ranks())


def inputs(training: Training) -> tuple[Tensor, list[Tensor]]:
    """Random images and the noise of the next step."""
    run, number = training.run, training.progress.step
    generators = image_generators(
        run.seed, Purpose.TRAINING_NOISE, number, images=range(run.train.batch_size)
    )
    noise = training.model.draw_noise(generators)
    return random_images(run.model, run.train.batch_size, seed=number), noise


def command(directory: Path, data_dir: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "model.train", str(directory), "--data-dir", str(data_dir)]
    return [*base, "--device", "cpu", *options]


class Process:
    """A training in a process of its own, whose log can be followed."""

    def __init__(self, directory: Path, data_dir: Path, *options: str, **environment: str) -> None:
        self._process = subprocess.Popen(
            command(directory, data_dir, *options),
            cwd=ROOT,
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.send_signal = self._process.send_signal

    def wait_for_step(self, step: int) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if f"step {step}/" in line:
                return
        raise AssertionError(f"the training ended before step {step}")

    def end(self) -> tuple[int, str]:
        """Exit code and the rest of the log."""
        _, rest = self._process.communicate(timeout=240)
        return self._process.returncode, rest


def assert_same_result(first: Path, second: Path) -> None:
    """Weights and learning curve bit for bit."""
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert (first / "history.parquet").read_bytes() == (second / "history.parquet").read_bytes()


def assert_same_state(first: Any, second: Any) -> None:
    """Two states of a training bit for bit, but for when and where it ran."""
    if isinstance(first, Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in set(first) - {"segments"}:
            assert_same_state(first[key], second[key])
    elif isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same_state(one, other)
    else:
        assert first == second
