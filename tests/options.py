"""Every option of a model, once: tests/test_options.py checks all that are listed here."""

from typing import Any

import pytest
import torch
from examples import RGB
from torch import Tensor

from model.config import ModelConfig

# What `tiny_config` is given; the first word of a name is the field.
OPTIONS: dict[str, dict[str, Any]] = {
    "base": {},
    "likelihood": RGB,
    "likelihood_size": {"likelihood_size": 6},
    "num_mixtures": {**RGB, "num_mixtures": 3},
    "zdim_multiple": {"zdim_multiple": 3},
    "bottleneck_multiple": {"bottleneck_multiple": 0.5},
    "no_bias_above": {"no_bias_above": 4},
    "blocks": {"blocks": 2},
    "repeats": {"repeats": 3},
    "state_norm l2": {"state_norm": "l2"},
    "state_norm rms": {"state_norm": "rms"},
    "cell nvae": {"cell": "nvae"},
    "cell markov": {"cell": "markov"},
    "residual_cells": {"residual_cells": False},
    "skip": {"skip": "mirror", "blocks": 2},
    # Of the three bottom-up blocks at 1x1, no top-down block sees the last two.
    "skip, unused blocks": {"skip": "mirror", "encoder": "8x1,8d8,1x3", "decoder": "1x1,8m1,8x1"},
    "resolutions": {"resolutions": "single"},
    "fourier value": {**RGB, "fourier": "value"},
    "fourier position": {"fourier": "position", "fourier_exponents": (0, 1)},
    "pooling haar": {"pooling": "haar"},
    "pooling db2": {"pooling": "db2"},
    "gradient_checkpointing": {"gradient_checkpointing": True, "repeats": 2},
}
each_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))


def random_images(config: ModelConfig, count: int, seed: int = 0) -> Tensor:
    """Noise as images, uint8 [N, C, H, W], with the values that the likelihood is for."""
    high = 2 if config.likelihood == "bernoulli" else 256
    shape = (count, config.image_channels, config.image_size, config.image_size)
    random = torch.Generator().manual_seed(seed)
    return torch.randint(high, shape, dtype=torch.uint8, generator=random)
