"""The top-down cells: their equations, written out, and what the state carries."""

import pytest
import torch
from examples import tiny_config
from torch.nn.functional import gelu

from model.network.blocks import TopDownBlock
from model.network.cell import TOP_DOWN_BLOCKS
from model.network.layout import Block


def top_down_block(cell: str) -> TopDownBlock:
    torch.manual_seed(0)
    return TOP_DOWN_BLOCKS[cell](tiny_config(cell=cell), Block(resolution=4)).double()


@pytest.mark.parametrize("cell", ["vdvae", "nvae", "markov"])
def test_a_block_equals_its_equations(cell: str) -> None:
    block = top_down_block(cell)
    x, activation = torch.randn(2, 3, 8, 4, 4, dtype=torch.float64)
    noise = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    state, latent = block(x, block.see(gelu(activation)), noise)

    prior = block.prior(x)
    torch.testing.assert_close(latent.prior_mean, prior[:, :2])
    mean, log_sigma = block.posterior(torch.cat([x, activation], 1)).split(2, dim=1)
    projected = block.z_projection(mean + log_sigma.exp() * noise)
    if cell == "vdvae":
        after_latent = x + prior[:, 4:] + projected
        expected = after_latent + block.residual(after_latent)
    elif cell == "nvae":
        assert prior.shape[1] == 4  # a mean and a log sigma per latent channel: no features
        expected = x + projected + block.residual(x + projected)
    else:
        expected = block.residual(projected)
    torch.testing.assert_close(state, expected)


def test_a_markovian_state_depends_on_the_latent_alone() -> None:
    z = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    x, other = torch.randn(2, 1, 8, 4, 4, dtype=torch.float64)
    hidden = torch.randn(1, 2, 4, 4, dtype=torch.float64)
    for cell in ("vdvae", "nvae", "markov"):
        block = top_down_block(cell)
        states = [block.cell(state, hidden, z) for state in (x, other)]
        assert torch.equal(*states) == (cell == "markov")
