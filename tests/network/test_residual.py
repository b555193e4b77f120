"""Residual cells switched off: what a block hands on without "x +"."""

import pytest
import torch
from examples import tiny_config
from torch import Tensor
from torch.nn.functional import avg_pool2d

from model.config import ConfigError
from model.network.blocks import BottomUpBlock, TopDownBlock
from model.network.hvae import HVAE
from model.network.layout import Block


@pytest.mark.parametrize("residual_cells", [True, False])
def test_a_bottom_up_block_equals_its_equation(residual_cells: bool) -> None:
    torch.manual_seed(0)
    block = BottomUpBlock(tiny_config(residual_cells=residual_cells), Block(resolution=8, down=2))
    x = torch.randn(2, 8, 8, 8)
    update = block.residual(x)
    torch.testing.assert_close(block(x), avg_pool2d(x + update if residual_cells else update, 2))


def test_the_top_down_cell_is_vdvaes_without_any_sum() -> None:
    torch.manual_seed(0)
    block = TopDownBlock(tiny_config(residual_cells=False), Block(resolution=4))
    x, activation = torch.randn(2, 3, 8, 4, 4)
    noise = torch.randn(3, 2, 4, 4)
    state, latent = block(x, activation, noise)
    # x <- prior features; x <- projected latent; x <- residual(x)
    torch.testing.assert_close(state, block.residual(block.z_projection(latent.z)))


def test_a_whole_model_learns_without_them(binary_images: Tensor) -> None:
    model = HVAE(tiny_config(residual_cells=False))
    model.initialise(torch.Generator().manual_seed(0))
    model(binary_images, generator=torch.Generator().manual_seed(1)).nll_nats.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_another_cell_with_residual_cells_off_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^residual_cells: false .* cell: nvae"):
        tiny_config(cell="nvae", residual_cells=False)
