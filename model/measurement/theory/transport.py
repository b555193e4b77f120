"""Squared Wasserstein-2 distances of sets of images, bracketed, for both sides of Theorem 3.

All are in the inner product that is the mean over pixels and channels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TransportCost:
    """What the squared Wasserstein-2 distance between two sets of as many images lies between."""

    lower: float  # Gelbrich's bound
    paired: float  # the cost of one coupling, each image with its own partner


def transport_cost(first: Tensor, second: Tensor) -> TransportCost:
    """Brackets for images [N, C, H, W], where image i of `second` is the partner of image i."""
    return TransportCost(gelbrich(first, second), paired(first, second))


def gelbrich(first: Tensor, second: Tensor) -> float:
    """Gelbrich's lower bound (1990): the distance of Gaussians with the same moments.

    |mean difference|^2 + tr A + tr B - 2 tr (A^1/2 B A^1/2)^1/2 of the covariances A, B.  The last
    trace is the sum of singular values of X Y^T / N, N x N, for the centred images X and Y, so that
    no covariance of pixels is made.
    """
    x, y = _vectors(first), _vectors(second)
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    both = x.square().sum() / len(x) + y.square().sum() / len(y)
    common = torch.linalg.svdvals(x @ y.T).sum() / (len(x) * len(y)) ** 0.5
    return float((mean_x - mean_y).square().sum() + both - 2 * common)


def paired(first: Tensor, second: Tensor) -> float:
    """The cost of one coupling, image i to image i: the reconstruction error."""
    return float((_vectors(first) - _vectors(second)).square().sum(1).mean())


def _vectors(images: Tensor) -> Tensor:
    """[N, C H W] float64 on the CPU, where the mean over pixels and channels is the square norm."""
    vectors = images.flatten(1).double().cpu()
    return vectors / vectors.shape[1] ** 0.5
