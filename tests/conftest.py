"""Fixtures that several tests use."""

from pathlib import Path

import pytest
import torch

from model.data.arrays import preprocess
from model.data.datasets import DATASETS


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
