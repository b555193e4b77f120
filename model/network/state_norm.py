"""Normalised residual state (section 4.2, table 2)."""

from typing import Literal

from torch import Tensor


def normalise(state: Tensor, norm: Literal["none", "l2", "rms"]) -> Tensor:
    """Normalise the state [B, C, H, W] of each image, at the output of a block.

    `l2`: x / sqrt(sum of x^2 over C, H, W + 1e-6), which has a Euclidean norm of 1, so that its
    elements are small; `rms`: the same with the mean instead of the sum, a root mean square of 1.
    """
    if norm == "none":
        return state
    squares = state.square()
    total = squares.sum((1, 2, 3), True) if norm == "l2" else squares.mean((1, 2, 3), True)
    return state * (total + 1e-6).rsqrt()
