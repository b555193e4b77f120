"""Initial weights: scales measured where there is no residual path, and nothing else changed."""

from math import sqrt
from typing import Any

import pytest
import torch
from examples import MULTIPLE_32, RGB, posterior_pass, tiny_config
from options import random_images
from torch import Tensor, nn

from model.network.hvae import HVAE

DEEP = {"image_size": 16, "encoder": "16x30", "decoder": "16x30", "width": 32, "zdim": 8}
PYRAMID = {**MULTIPLE_32, "image_size": 32, "width": 32, "zdim": 8}
NO_RESIDUAL_CELLS, MARKOV = {"residual_cells": False}, {"cell": "markov"}


def state_sizes(model: HVAE, images: Tensor) -> tuple[Tensor, Tensor]:
    """The standard deviations of the state after each block of the encoder and of the decoder.

    The gradients of the loss are there afterwards.
    """
    sizes: dict[str, list[Tensor]] = {"bottom_up": [], "top_down": []}
    for tower, found in sizes.items():

        def record(_module: nn.Module, _inputs: Any, output: Any, found: Any = found) -> None:
            found.append((output[0] if isinstance(output, tuple) else output).detach().std())

        for block in getattr(model, tower).blocks:
            block.register_forward_hook(record)
    (posterior_pass(model, images).nll_nats.mean() / model.loss_dims).backward()
    return torch.stack(sizes["bottom_up"]), torch.stack(sizes["top_down"])


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("options", [NO_RESIDUAL_CELLS, MARKOV])
@pytest.mark.parametrize("shape", [DEEP, PYRAMID, {**DEEP, **RGB}])
def test_states_keep_their_size_and_the_encoder_gets_gradients(
    shape: dict[str, Any], options: dict[str, Any], seed: int
) -> None:
    model = HVAE(tiny_config(**shape, **options)).double()
    model.initialise(torch.Generator().manual_seed(seed))
    encoder, decoder = state_sizes(model, random_images(model.config, 8, seed=seed + 10))
    assert decoder.max() / decoder.min() < 3
    assert 0.3 < decoder[-1] < 3  # what the likelihood gets
    if options is NO_RESIDUAL_CELLS:
        assert encoder.max() / encoder.min() < 3
    if options is NO_RESIDUAL_CELLS or shape is DEEP:  # else the encoder is x1's, unchanged
        gradients = [p.grad for p in model.bottom_up.parameters() if p.grad is not None]
        flat = torch.cat([gradient.abs().flatten() for gradient in gradients])
        assert (flat > 1e-8).double().mean() > 0.9  # Adam's eps


def test_a_weaker_image_does_not_vanish() -> None:
    """Images of half the contrast, which a scale at a standard deviation of 1 would take to 0."""
    model = HVAE(tiny_config(**DEEP, **NO_RESIDUAL_CELLS)).double()
    model.initialise(torch.Generator().manual_seed(0))
    x = torch.randn(4, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        full, half = (model.bottom_up(scale * x)[30].std() for scale in (1.0, 0.5))
    assert 0.25 < half / full < 0.75


@pytest.mark.parametrize("cell", ["vdvae", "nvae", "markov"])
def test_blocks_with_a_residual_path_are_drawn_as_in_vdvae(cell: str) -> None:
    """Bit for bit: PyTorch's default in the order of the modules, and sqrt(1/n) by hand."""
    model = HVAE(tiny_config(cell=cell))
    model.initialise(torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(0)
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        bound = sqrt(6 / (1 + 5) / module.weight[0].numel())
        expected = torch.empty_like(module.weight).uniform_(-bound, bound, generator=generator)
        if name.endswith("prior.conv4"):
            expected.zero_()
        elif name.endswith(("residual.conv4", "z_projection")):
            if cell == "markov" and name.startswith("top_down"):
                continue  # scaled; so are the other convolutions of the residual
            expected *= sqrt(1 / 5)  # blocks in either tower
        if cell == "markov" and name.startswith("top_down") and ".residual." in name:
            continue
        assert torch.equal(module.weight, expected), name
