"""Without a residual path the variance of activations is preserved, and gradients arrive."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from examples import MULTIPLE_32, tiny_config
from torch import Tensor

from model.network.hvae import HVAE

LAYOUTS = {  # x1 of config.yaml on digits, and on MNIST and CIFAR10
    8: {"width": 16, "zdim": 4},
    32: {"image_size": 32, **MULTIPLE_32, "width": 32, "zdim": 8},
}
OPTIONS = {"residual cells off": {"residual_cells": False}, "markov": {"cell": "markov"}}


def model_of(options: dict[str, Any], size: int) -> HVAE:
    model = HVAE(tiny_config(**LAYOUTS[size], **options)).double()
    model.initialise(torch.Generator().manual_seed(0))
    return model


def digits(data_dir: Path, size: int) -> Tensor:
    """20 binary digits, enlarged."""
    images = torch.from_numpy(np.load(data_dir / "digits/test.npy")[:20]).permute(0, 3, 1, 2)
    factor = size // 8
    return (images > 127).to(torch.uint8).repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def outputs(model: HVAE, images: Tensor, tower: str) -> list[Tensor]:
    """The states after the blocks of a tower in a posterior pass."""
    found: list[Tensor] = []
    hooks = [
        block.register_forward_hook(
            lambda _m, _i, out: found.append(out if isinstance(out, Tensor) else out[0])
        )
        for block in getattr(model, tower).blocks
    ]
    noise = model.draw_noise(len(images), torch.Generator().manual_seed(1))
    model(images, noise)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(("size", "factor"), [(8, 2), (32, 10)])
@pytest.mark.parametrize("name", OPTIONS)
def test_the_states_keep_their_size_through_the_towers(
    name: str, size: int, factor: float, data_dir: Path
) -> None:
    """They fell to 1e-9 in a few blocks.  With GELU a deviation grows with the depth."""
    model = model_of(OPTIONS[name], size)
    images = digits(data_dir, size)
    towers = ["top_down"] if name == "markov" else ["bottom_up", "top_down"]
    for tower in towers:
        sizes = [float(x.detach().square().mean().sqrt()) for x in outputs(model, images, tower)]
        assert len(sizes) == {8: 5, 32: 9}[size]
        assert 1 / factor < min(sizes) <= max(sizes) < factor, (tower, sizes)


@pytest.mark.parametrize("size", LAYOUTS)
@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_reach_the_encoder(name: str, size: int, data_dir: Path) -> None:
    """With the residual branches' scale 86 % of them were below AdamW's epsilon."""
    model = model_of(OPTIONS[name], size)
    with torch.no_grad():  # else prior and posterior agree, whatever the image
        for block in model.top_down.blocks:
            block.prior.conv4.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(3))
    noise = model.draw_noise(20, torch.Generator().manual_seed(1))
    model(digits(data_dir, size), noise).nll_nats.mean().backward()
    gradients = torch.cat([p.grad.flatten() for p in model.bottom_up.parameters()])
    assert (gradients.abs() < 1e-8).double().mean() < 0.1


def test_models_with_residual_paths_start_as_before() -> None:
    """PyTorch's draws in the order of the modules, and the residual branches' scale."""
    model, again = model_of({}, 32), HVAE(tiny_config(**LAYOUTS[32])).double()
    generator = torch.Generator().manual_seed(0)
    for module in again.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
    for drawn, scaled in zip(again.bottom_up.blocks, model.bottom_up.blocks, strict=True):
        wanted = drawn.residual.conv4.weight / len(model.bottom_up.applied_blocks) ** 0.5
        torch.testing.assert_close(scaled.residual.conv4.weight, wanted, rtol=1e-14, atol=0)
        assert torch.equal(scaled.residual.conv2.weight, drawn.residual.conv2.weight)
