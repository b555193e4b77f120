"""The top-down cell: how a block changes the state around its latent (figure A.1)."""

from collections.abc import Callable
from typing import Literal

from torch import Tensor

Cell = Literal["vdvae", "nvae", "markov"]


def has_prior_step(cell: Cell) -> bool:
    """Whether the prior also gives features that are added to the state: x + prior features."""
    return cell == "vdvae"


def latent_step(
    cell: Cell, x: Tensor, projected: Tensor, residual: Callable[[Tensor], Tensor]
) -> Tensor:
    """The state after the latent, projected to the state's shape [B, width, H, W].

    `vdvae`, `nvae`: x <- x + projected, then x <- x + residual(x), the second step of Theorem 4.
    `markov`: x <- residual(projected): nothing but the latent is handed on.
    """
    if cell == "markov":
        return residual(projected)
    x = x + projected
    return x + residual(x)
