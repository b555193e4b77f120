"""Small configurations that several tests use."""

from typing import Any

import torch
from torch import Tensor

from model.config import ModelConfig, TrainConfig
from model.definitions import DEFINITIONS
from model.network.hvae import HVAE, HVAEOutput
from model.run_config import RunConfig

MULTIPLE_32 = {
    "encoder": "32x1,32d2,16x1,16d2,8x1,8d2,4x1,4d4,1x1",
    "decoder": "1x1,4m1,4x1,8m4,8x1,16m8,16x1,32m16,32x1",
}
BINARY = {"image_channels": 1, "likelihood": "bernoulli", "pixel_mean": 0.5, "pixel_std": 0.5}
RGB = {
    "image_channels": 3,
    "likelihood": "discretised_logistics",
    "pixel_mean": 120.63838,
    "pixel_std": 64.16736,
}


def tiny_config(**differences: Any) -> ModelConfig:
    """An HVAE of 8x8 binary images with 5 stochastic layers, small enough for any test."""
    base = {
        "image_size": 8,
        **BINARY,
        "encoder": "8x1,8d2,4x1,4d4,1x1",
        "decoder": "1x1,4m1,4x1,8m4,8x1",
        "width": 8,
        "zdim": 2,
    }
    return ModelConfig(**{**base, **differences})


def tiny_model(**differences: Any) -> HVAE:
    """The model of `tiny_config`, initialised."""
    model = HVAE(tiny_config(**differences))
    model.initialise(torch.Generator().manual_seed(0))
    return model


def example_model(**differences: Any) -> HVAE:
    """A model whose every branch has an effect, unlike a freshly initialised one."""
    model = tiny_model(**differences)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    return model


def random_images(count: int) -> Tensor:
    """Binary images for these models, uint8 [count, 1, 8, 8]."""
    random = torch.Generator().manual_seed(2)
    return torch.randint(0, 2, (count, 1, 8, 8), dtype=torch.uint8, generator=random)


def posterior_pass(model: HVAE, images: Tensor, seed: int = 1) -> HVAEOutput:
    """A pass with noise drawn from the seed."""
    return model(images, model.draw_noise([torch.Generator().manual_seed(seed)] * len(images)))


def tiny_run(
    model: dict[str, Any] | None = None, train: dict[str, Any] | None = None, **differences: Any
) -> RunConfig:
    """A run on the digits that takes seconds."""
    base = {
        "iterations": 12,
        "batch_size": 16,
        "learning_rate": 0.003,
        "weight_decay": 0.01,
        "betas": (0.9, 0.9),
        "warmup_iterations": 4,
        "ema_rate": 0.9,
        "gradient_clip": 50.0,
        "skip_threshold": 1e5,
        "diverged_after": 5,
        "validation_images": 20,
        "validate_every": 5,
        "log_every": 4,
    }
    run = {"dataset": "digits", "variant": "x1", "seed": 0, "definitions": DEFINITIONS}
    run |= differences
    return RunConfig(
        **run,
        model=tiny_config(**(model or {})),
        train=TrainConfig(**{**base, **(train or {})}),
    )
