"""Residual cells switched off: no block adds to the state that it gets (section 3.4)."""

from torch import Tensor

from model.network.cell import Cell


def bottom_up_step(x: Tensor, update: Tensor, *, residual_cells: bool) -> Tensor:
    """The state after a bottom-up block's bottleneck [B, width, H, W]: with or without "x +"."""
    return x + update if residual_cells else update


def top_down_cell(cell: Cell, *, residual_cells: bool) -> Cell:
    """The cell of the top-down blocks: VDVAE's without any "x +" is the Markovian one.

    x <- prior features, x <- projected latent, x <- residual(x): the prior's features are
    overwritten, so nothing but the latent is handed on, and they need no weights.
    """
    return cell if residual_cells else "markov"
