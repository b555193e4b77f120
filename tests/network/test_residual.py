"""Residual cells switched off: what a block hands on without "x +"."""

import pytest
import torch
from examples import tiny_config
from torch.nn.functional import avg_pool2d, gelu

from model.config import ConfigError
from model.network.layout import Block
from model.network.residual import block_types


@pytest.mark.parametrize("residual_cells", [True, False])
def test_a_bottom_up_block_equals_its_equation(residual_cells: bool) -> None:
    torch.manual_seed(0)
    config = tiny_config(residual_cells=residual_cells)
    bottom_up_type, _ = block_types(config)
    block = bottom_up_type(config, Block(resolution=8, down=2))
    x = torch.randn(2, 8, 8, 8)
    update = block.residual(x)
    torch.testing.assert_close(block(x), avg_pool2d(x + update if residual_cells else update, 2))


def test_the_top_down_cell_is_vdvaes_without_any_sum() -> None:
    torch.manual_seed(0)
    config = tiny_config(residual_cells=False)
    _, top_down_type = block_types(config)
    block = top_down_type(config, Block(resolution=4))
    x, activation = torch.randn(2, 3, 8, 4, 4)
    noise = torch.randn(3, 2, 4, 4)
    state, latent = block(x, block.see(gelu(activation)), noise)
    # x <- prior features; x <- projected latent; x <- residual(x)
    torch.testing.assert_close(state, block.residual(block.z_projection(latent.z)))


def test_another_cell_with_residual_cells_off_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^residual_cells: false .* cell: nvae"):
        tiny_config(cell="nvae", residual_cells=False)
