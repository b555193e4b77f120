"""Lipschitz constants of the encoder, bracketed, for the left side of Theorem 3.

From below by the norm of the Jacobian at images, from above by a product of norms of the layers.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from math import cos, erf, exp, pi, prod, sqrt

import torch
from torch import Tensor
from torch.autograd import grad

from model.config import ModelConfig
from model.network import fourier
from model.network.blocks import Bottleneck, BottomUpBlock
from model.network.hvae import BottomUp
from model.network.residual import PlainBottomUpBlock

ITERATIONS = 15  # of the power method; each gives a lower bound
GRID = 16  # frequencies per axis at which a convolution is looked at
# The largest derivative of GELU(x) = x Phi(x) is at sqrt(2), where its second one is 0.
GELU_SLOPE = 0.5 * (1 + erf(1)) + sqrt(2) * exp(-1) / sqrt(2 * pi)
NORMALISE_SLOPE = 1e-6**-0.5  # of x / sqrt(sum of x^2 + 1e-6), at 0 (state_norm.py)


def before_pooling(bottom_up: BottomUp, config: ModelConfig, x: Tensor) -> Iterator[Tensor]:
    """The activations h_j [B, width, r, r] of each block that pools, just before it does.

    x [B, C, H, W] is the normalised image; only what is asked for is computed.
    """
    x = bottom_up.in_conv(_with_fourier(x, config))
    for block in bottom_up.applied_blocks:
        if block.down is not None:
            yield block.cell(x)
        x = block(x)


def _with_fourier(x: Tensor, config: ModelConfig) -> Tensor:
    """The input of the first convolution, of the normalised image, so that it can be derived."""
    if config.fourier == "none":
        return x
    assert config.pixel_mean is not None
    assert config.pixel_std is not None
    pixels = x * config.pixel_std + config.pixel_mean
    features = fourier.features(pixels, config.fourier, config.fourier_exponents)
    return torch.cat([x, features.to(x.dtype)], dim=1)


def jacobian_norms(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Norms [B] of the Jacobian at each of x [B, C, H, W], from below, by the power method.

    In the norms that are means over pixels and channels, of the argument and of the value.  No
    image's value may depend on another image.
    """
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
    x = x.detach().requires_grad_()
    value = function(x)
    # J^T u is the gradient of <value, u>, and J v that of <J^T u, v> by u.  torch.func.jvp, or grad
    # with grad_outputs, would do the same, but import SymPy, which takes longer than all this.
    weights = torch.zeros_like(value, requires_grad=True)
    (pulled_back,) = grad((value * weights).sum(), x, create_graph=True)
    largest = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    for _ in range(ITERATIONS):
        direction = direction / _root_mean_square(direction)
        (change,) = grad((pulled_back * direction).sum(), weights, retain_graph=True)
        growth = _root_mean_square(change) / _root_mean_square(direction)
        largest = largest.maximum(growth.flatten().double())
        (direction,) = grad((value * change).sum(), x, retain_graph=True)
    return largest.cpu()


def _root_mean_square(x: Tensor) -> Tensor:
    """Of each image [B, 1, 1, 1]; not 0, so that it can be divided by."""
    return x.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=torch.finfo(x.dtype).tiny)


def lipschitz_lower(bottom_up: BottomUp, config: ModelConfig, x: Tensor) -> list[float]:
    """Of the maps from the image to each h_j: the largest Jacobian norm at the images x."""
    num_poolings = sum(block.down is not None for block in bottom_up.applied_blocks)

    def activation(index: int) -> Callable[[Tensor], Tensor]:
        return lambda image: next(islice(before_pooling(bottom_up, config, image), index, None))

    return [float(jacobian_norms(activation(j), x).max()) for j in range(num_poolings)]


def lipschitz_upper(bottom_up: BottomUp, config: ModelConfig) -> list[float]:
    """Of the maps from the image to each h_j: the product of the layers' norms.

    Pooling is a projection, of norm 1.  Norms of layers are Euclidean; the mean over the channels
    of the image and of h_j comes in at the end.
    """
    norm = _first_slope(bottom_up, config)
    slopes = {block: block_slope(block) for block in set(bottom_up.applied_blocks)}
    found = []
    for block in bottom_up.applied_blocks:
        norm *= slopes[block]
        if block.down is not None:
            found.append(norm * sqrt(config.image_channels / config.width))
        if block.state_norm != "none":
            norm *= NORMALISE_SLOPE
    return found


def _first_slope(bottom_up: BottomUp, config: ModelConfig) -> float:
    """Of the first convolution, with the features that it gets of the image."""
    weight = bottom_up.in_conv.weight
    if config.fourier != "value":  # those of positions are constant
        return convolution_norm(weight[:, : config.image_channels])
    assert config.pixel_std is not None
    # A pixel x gives x, sin(s x + c) and cos(s x + c), whose derivatives have a norm of s.
    speeds = [2 * pi * 2**n * config.pixel_std / 256 for n in config.fourier_exponents]
    return convolution_norm(weight) * sqrt(1 + sum(speed**2 for speed in speeds))


def block_slope(block: BottomUpBlock) -> float:
    """An upper bound of the Lipschitz constant of a block's cell."""
    slope = bottleneck_slope(block.residual)
    return slope if isinstance(block, PlainBottomUpBlock) else 1 + slope


def bottleneck_slope(bottleneck: Bottleneck) -> float:
    """An upper bound of the Lipschitz constant: a GELU before each of the convolutions."""
    layers = (bottleneck.conv1, bottleneck.conv2, bottleneck.conv3, bottleneck.conv4)
    return prod(GELU_SLOPE * convolution_norm(layer.weight) for layer in layers)


@torch.no_grad()
def convolution_norm(weight: Tensor) -> float:
    """An upper bound of the spectral norm of a convolution [out, in, k, k] padded with zeros.

    It is at most that of the convolution of the plane, the largest norm of [out, in] over all
    frequencies.  That is a trigonometric polynomial of degree d = (k - 1) / 2 along each axis, so
    by M. Riesz' lemma it is at most its largest value on a grid / cos(pi d / GRID) per axis.
    """
    size = weight.shape[-1]
    weight = weight.double()
    if size == 1:
        return float(torch.linalg.matrix_norm(weight[..., 0, 0], ord=2))
    response = torch.fft.rfft2(weight, s=(GRID, GRID)).permute(2, 3, 0, 1)
    largest = float(torch.linalg.matrix_norm(response, ord=2).max())
    return largest / cos(pi * (size - 1) / 2 / GRID) ** 2
