"""One of several processes that train every option of tests/options.py together.

`python tests/two_ranks.py FILE` with the environment that torchrun sets; rank 0 writes the weights
of each option, float64, into the file.
"""

import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from examples import tiny_run
from options import OPTIONS
from torch import Tensor
from trainings import train_on_noise

from model.config import ModelConfig
from model.network.families import build_model
from model.network.generative_model import GenerativeModel
from model.run_config import RunConfig
from model.training.ranks import Ranks
from model.training.stop import StopFlag


def short_run(options: dict[str, Any]) -> RunConfig:
    """Three steps on batches of 5 images, 3 and 2 of them on two ranks."""
    return tiny_run(options, {"iterations": 3, "batch_size": 5, "validation_images": 2})


def build_float64(config: ModelConfig) -> GenerativeModel:
    return build_model(config).to(torch.float64)


def weights_of(options: dict[str, Any], ranks: Ranks) -> dict[str, Tensor]:
    """The weights after the training of an option, in float64 so that rounding is small."""
    with tempfile.TemporaryDirectory() as name:
        training = train_on_noise(short_run(options), Path(name), ranks=ranks, build=build_float64)
    return training.model.state_dict()


if __name__ == "__main__":
    torch.set_num_threads(1)
    ranks = Ranks.join(torch.device("cpu"), 2, StopFlag())
    weights = {name: weights_of(options, ranks) for name, options in OPTIONS.items()}
    if ranks.is_writer:
        torch.save(weights, sys.argv[1])
    ranks.leave()
