"""Initial weights of blocks without a residual path: scales that keep the activations' size.

The last convolution of a residual branch is drawn small, since what it is added to stays.  Without
"x +" nothing else is handed on: with such weights activations and gradients vanish after a few
blocks.  Nor does a weight's variance of 1 / (fan_in E[gelu(z)^2]) keep them: around a standard
deviation of 1 any relative deviation of the variance is raised to the power 1.14 by each GELU, and
chance brings deviations enough in narrow blocks.

So convolutions are drawn as everywhere, and then scaled, one after the other, to a root mean square
of their outputs on random images (after layer-sequential unit variance, Mishkin & Matas 2016).  In
the encoder it is 10: there a GELU is nearly a ReLU, which hands a deviation on as it is; the
weights of posteriors for the encoder's outputs are divided by 10.  In the decoder it is 1: each
Markovian block starts from a new latent, so that nothing adds up over blocks.  A block that is
repeated is scaled by the mean of its repeats.  All of this is ours, the paper does not say.
"""

from collections.abc import Iterable
from math import log2

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu

from model.network.blocks import Bottleneck, BottomUpBlock, TopDownBlock
from model.network.pooling import embed

NUM_IMAGES = 8
ENCODER_RMS = 10.0
DECODER_RMS = 1.0


def scale_encoder(
    in_conv: nn.Conv2d, blocks: Iterable[tuple[BottomUpBlock, int]], size: int, generator: Generator
) -> None:
    """Scale blocks, each with its number of repeats, in order of application."""
    x = in_conv(_images(in_conv.in_channels, size, in_conv.weight.dtype, generator))
    for block, repeats in blocks:
        _scale_bottleneck(block.residual, x, ENCODER_RMS)
        if block.state_norm == "none":  # else neither pooling nor repeats change the size
            once, growth = x, 1.0
            for _ in range(repeats):
                once = block(once)
                growth *= _rms(once) / ENCODER_RMS
                once *= ENCODER_RMS / _rms(once)
            _scale(block.residual.conv4, growth ** (-1 / repeats))
        for _ in range(repeats):
            x = block(x)


def scale_posterior(block: TopDownBlock) -> None:
    """Let a posterior see the encoder's outputs as if their root mean square were 1."""
    width = block.posterior.conv1.in_channels // 2  # the state's channels, then the encoder's
    block.posterior.conv1.weight[:, width:] /= ENCODER_RMS


def scale_decoder_block(block: TopDownBlock, generator: Generator) -> None:
    """Scale a Markovian block, for latents of a standard normal distribution."""
    weight = block.z_projection.weight
    shape = (NUM_IMAGES, block.zdim, block.resolution, block.resolution)
    x = block.z_projection(torch.randn(shape, generator=generator, dtype=weight.dtype))
    _scale(block.z_projection, DECODER_RMS / _rms(x))
    _scale_bottleneck(block.residual, x * (DECODER_RMS / _rms(x)), DECODER_RMS)


def _scale_bottleneck(bottleneck: Bottleneck, x: Tensor, rms: float) -> None:
    for layer in (bottleneck.conv1, bottleneck.conv2, bottleneck.conv3, bottleneck.conv4):
        _scale(layer, rms / _rms(layer(gelu(x))))
        x = layer(gelu(x))


def _scale(layer: nn.Conv2d, factor: float) -> None:
    """Scale the weights, in steps of 2^(1/64): they do not depend on a machine's rounding."""
    layer.weight *= 2 ** (round(64 * log2(factor)) / 64)


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _images(channels: int, size: int, dtype: torch.dtype, generator: Generator) -> Tensor:
    """Random inputs [N, C, size, size] of variance 1, equally much of it from each scale."""
    parts, coarse = [], size
    while True:
        noise = torch.randn(
            (NUM_IMAGES, channels, coarse, coarse), generator=generator, dtype=dtype
        )
        parts.append(embed(noise, size // coarse))
        if coarse % 2:
            return torch.stack(parts).sum(dim=0) / len(parts) ** 0.5
        coarse //= 2
