"""Fixtures that several tests use."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from model.data.arrays import preprocess
from model.data.datasets import DATASETS

# Models this small are faster on one thread, far more so where tests share the cores.
torch.set_num_threads(1)


def pytest_configure() -> None:
    """Let Ctrl-C end what tests start, also where a shell runs the tests in its background."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits, preprocessed."""
    directory = tmp_path_factory.mktemp("data")
    preprocess(DATASETS["digits"], directory)
    return directory


@pytest.fixture
def binary_images() -> torch.Tensor:
    """Three binary images, uint8 [3, 1, 8, 8]."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 2, (3, 1, 8, 8), dtype=torch.uint8, generator=generator)


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """A training in this process installs handlers of its own: Ctrl-C must still end the tests."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
    handlers = [signal.getsignal(number) for number in numbers]
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    for number, handler in zip(numbers, handlers, strict=True):
        signal.signal(number, handler)
