"""Trainings as a user runs them: a run's folder, the command, and its log while it runs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from model.config import RunConfig
from model.train import main

ROOT = Path(__file__).parents[1]


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


def command(directory: Path, data_dir: Path, *options: str) -> list[str]:
    base = [sys.executable, "-m", "model.train", str(directory), "--data-dir", str(data_dir)]
    return [*base, "--device", "cpu", *options]


class Process:
    """A training in a process of its own, whose log can be followed."""

    def __init__(self, directory: Path, data_dir: Path, *options: str) -> None:
        self._process = subprocess.Popen(
            command(directory, data_dir, *options), cwd=ROOT, stderr=subprocess.PIPE, text=True
        )
        self.send_signal = self._process.send_signal

    def wait_for_step(self, step: int) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if f"step {step}/" in line:
                return
        raise AssertionError(f"the training ended before step {step}")

    def end(self) -> tuple[int, str]:
        """Exit code and the rest of the log."""
        _, rest = self._process.communicate(timeout=120)
        return self._process.returncode, rest


def assert_same_result(first: Path, second: Path) -> None:
    """Weights and learning curve bit for bit."""
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
    assert (first / "history.parquet").read_bytes() == (second / "history.parquet").read_bytes()
