"""Several processes, started by the command, train one run to the result of one process.

They are few here and real; tests/test_options.py compares two ranks with one for every option.
"""

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
from examples import tiny_run
from safetensors.torch import load_file
from trainings import Process, run_dir, summary, train

from model.config import ConfigError
from model.run_config import RunConfig

LENGTH = {"iterations": 90, "validate_every": 45, "log_every": 3}


def run_on(gpus: int, **train: Any) -> RunConfig:
    return tiny_run(train={**LENGTH, **train, "gpus": gpus})


def assert_equal_results(first: Path, second: Path) -> None:
    """Weights and losses within what the order of float32 sums makes of them."""
    a, b = (load_file(path / "model.safetensors") for path in (first, second))
    torch.testing.assert_close(a, b, rtol=0.0, atol=2e-4)
    histories = [pd.read_parquet(path / "history.parquet") for path in (first, second)]
    pd.testing.assert_frame_equal(*histories, rtol=1e-3)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    """A training of one process."""
    directory = run_dir(tmp_path_factory.mktemp("alone"), run_on(1))
    assert train(directory, data_dir) == 0
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("gpus", [2, 3])  # a batch of 16 is 6 + 5 + 5 images on three
def test_the_number_of_ranks_changes_nothing(
    tmp_path: Path, data_dir: Path, alone: Path, gpus: int
) -> None:
    run = run_on(gpus)
    directory = run_dir(tmp_path, run)
    exit_code, output = Process(directory, data_dir).end()
    assert exit_code == 0, output
    assert_equal_results(directory, alone)
    assert len(re.findall(r"step 90/90  train", output)) == 1, "one rank logs"
    assert summary(directory)["config_hash"] == summary(alone)["config_hash"]


@pytest.mark.slow
def test_the_number_of_ranks_may_change_at_a_resume(
    tmp_path: Path, data_dir: Path, alone: Path
) -> None:
    for gpus, stop_at, number in ((2, 9, signal.SIGTERM), (1, 45, signal.SIGUSR2)):
        directory = run_dir(tmp_path, run_on(gpus))
        process = Process(directory, data_dir)
        process.wait_for_step(stop_at)
        process.send_signal(number)
        exit_code, rest = process.end()
        assert exit_code == 128 + number, rest
        assert "run the same command again" in rest
        assert "Traceback" not in rest
    directory = run_dir(tmp_path, run_on(2))
    assert Process(directory, data_dir).end()[0] == 0
    assert summary(directory)["resumes"] == 2
    assert_equal_results(directory, alone)


@pytest.mark.slow
def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    exit_code, output = Process(run_dir(tmp_path, run_on(2)), tmp_path / "nowhere").end()
    assert exit_code == 1
    assert output.count("error:") == 1
    assert "Traceback" not in output


STALE = {
    **{"WORLD_SIZE": "2", "RANK": "1", "LOCAL_RANK": "1"},
    **{"MASTER_ADDR": "localhost", "MASTER_PORT": "1", "TORCHELASTIC_RUN_ID": "none"},
    "TORCHELASTIC_USE_AGENT_STORE": "True",
}


@pytest.mark.slow
@pytest.mark.parametrize("gpus", [1, 2])
def test_what_a_launcher_left_in_the_environment_changes_nothing(
    tmp_path: Path, data_dir: Path, alone: Path, gpus: int
) -> None:
    directory = run_dir(tmp_path, run_on(gpus))
    exit_code, output = Process(directory, data_dir, **STALE).end()
    assert exit_code == 0, output
    assert_equal_results(directory, alone)


@pytest.mark.slow
@pytest.mark.parametrize(("world_size", "found"), [("3", "3"), ("", "no")])
def test_a_world_of_another_size_is_one_line(
    tmp_path: Path, data_dir: Path, world_size: str, found: str
) -> None:
    directory = run_dir(tmp_path, run_on(2))
    process = Process(directory, data_dir, "--ranks", WORLD_SIZE=world_size, RANK="0")
    exit_code, output = process.end()
    assert exit_code == 1
    assert f"train.gpus is 2, but torchrun has started {found} ranks" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_a_rank_that_waits_for_others_hears_sigterm(tmp_path: Path, data_dir: Path) -> None:
    port = str(free_port())
    environment = {**STALE, "RANK": "0", "LOCAL_RANK": "0", "MASTER_PORT": port}
    del environment["TORCHELASTIC_USE_AGENT_STORE"]
    process = Process(run_dir(tmp_path, run_on(2)), data_dir, "--ranks", **environment)
    wait_until(lambda: listens(int(port)))
    process.send_signal(signal.SIGTERM)
    assert process.end()[0] == -signal.SIGTERM


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return int(free.getsockname()[1])


def listens(port: int) -> bool:
    with socket.socket() as other:
        return other.connect_ex(("localhost", port)) == 0


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.slow
def test_a_rank_whose_launcher_was_gone_before_it_looked_ends(
    tmp_path: Path, data_dir: Path
) -> None:
    """It would wait for the others until the rendezvous times out, after half an hour."""
    nobody = subprocess.Popen(["true"])
    nobody.wait()
    rank = Process(
        run_dir(tmp_path, run_on(2)),
        data_dir,
        *("--ranks", str(nobody.pid)),
        **{"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())},
    )
    exit_code, _ = rank.end()
    assert exit_code == 128 + signal.SIGTERM


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_ranks_save_and_end_with_their_launcher(
    tmp_path: Path, data_dir: Path, number: signal.Signals
) -> None:
    run = run_on(2, iterations=100_000)
    directory = run_dir(tmp_path, run)
    launcher = Process(directory, data_dir)
    launcher.wait_for_step(9)
    ranks = psutil.Process(launcher.pid).children()
    assert len(ranks) == 2
    launcher.send_signal(number)
    exit_code, rest = launcher.end()  # the ranks have the same stderr: it ends with the last one
    assert exit_code == (-9 if number == signal.SIGKILL else 128 + number), rest
    assert psutil.wait_procs(ranks, timeout=30)[1] == []
    assert "saved at step" in rest
    assert list((directory / "state").rglob("step*.pt"))


@pytest.mark.slow
def test_a_killed_rank_ends_the_other_and_the_launcher(tmp_path: Path, data_dir: Path) -> None:
    launcher = Process(run_dir(tmp_path, run_on(2, iterations=100_000)), data_dir)
    launcher.wait_for_step(9)
    ranks = psutil.Process(launcher.pid).children()
    ranks[1].kill()
    exit_code, rest = launcher.end()
    assert exit_code > 0, rest
    assert psutil.wait_procs(ranks, timeout=30)[1] == []


def test_more_ranks_than_images_in_a_batch() -> None:
    with pytest.raises(ConfigError, match="gpus: 17 cannot split a batch_size of 16"):
        run_on(17)
