"""Normalised residual state: unit norm at the output of every block, not on the initial state."""

import numpy as np
import pytest
import torch
from examples import posterior_pass, tiny_model
from torch import Tensor, nn

from model.network.state_norm import normalise


def test_normalise_equals_the_formulas() -> None:
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = x.numpy()
    norms = np.sqrt((values**2).sum((1, 2, 3), keepdims=True) + 1e-6)
    np.testing.assert_allclose(normalise(x, "l2").numpy(), values / norms, rtol=1e-12)
    rms = np.sqrt((values**2).mean((1, 2, 3), keepdims=True) + 1e-6)
    np.testing.assert_allclose(normalise(x, "rms").numpy(), values / rms, rtol=1e-12)
    assert normalise(x, "none") is x
    assert normalise(torch.zeros(1, 2, 3, 3), "l2").abs().max() == 0


@pytest.mark.parametrize("norm", ["l2", "rms"])
def test_every_block_hands_on_a_normalised_state(norm: str, binary_images: Tensor) -> None:
    model = tiny_model(state_norm=norm, repeats=2)
    sizes: list[Tensor] = []

    def record(_module: nn.Module, _input: object, output: Tensor | tuple[Tensor, object]) -> None:
        state = output[0] if isinstance(output, tuple) else output
        square = state.square()
        sizes.append((square.sum((1, 2, 3)) if norm == "l2" else square.mean((1, 2, 3))).sqrt())

    for block in [*model.bottom_up.blocks, *model.top_down.blocks]:
        block.register_forward_hook(record)
    posterior_pass(model, binary_images)

    assert len(sizes) == 8 + 8  # every application, repeats too
    torch.testing.assert_close(torch.stack(sizes), torch.ones(16, 3), rtol=1e-3, atol=1e-3)
    assert all(state.abs().max() == 0 for state in model.top_down.initial_states)
