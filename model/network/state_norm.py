"""Normalised residual state (section 4.2, table 2)."""

from typing import Literal

from torch import Tensor

StateNorm = Literal["none", "l2", "rms"]


def normalise(state: Tensor, norm: StateNorm) -> Tensor:
    """Normalise the state [B, C, H, W] of each image, at the output of a block.

    `l2`: x / sqrt(sum over C, H, W of x^2 + 1e-6), unit Euclidean norm, which also makes the single
    elements small; `rms`: the same with the mean for the sum, unit root mean square.
    """
    if norm == "none":
        return state
    squares = state.square()
    total = squares.sum((1, 2, 3), True) if norm == "l2" else squares.mean((1, 2, 3), True)
    return state * (total + 1e-6).rsqrt()
