"""Initialisation of the blocks that hand their output on without "x +" (ours, not the paper's).

PyTorch's default shrinks the variance in each convolution, and the scale of a residual branch does
so further: without a residual path around them nothing of the image would be left after a few
blocks.  Here each convolution is scaled by what it does to a sample of its input, so that the root
mean square of its output is 1 (layer-sequential unit variance, Mishkin and Matas 2016).  Images are
no noise, and GELU damps small inputs more than large ones, so the deviation grows with the depth:
up to 8 times after the nine blocks of x1 at 32 pixels.
"""

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu

from model.network.blocks import Bottleneck, BottomUpBlock, TopDownBlock

NUM_IMAGES = 16  # of noise, on which variances are measured


def preserve_variance_upwards(
    in_conv: nn.Conv2d, applied_blocks: list[BottomUpBlock], image_size: int, generator: Generator
) -> None:
    """Scale the bottom-up blocks one after the other, from noise at the input on.

    Blocks that are applied several times are scaled at their first application.
    """
    noise = _noise((NUM_IMAGES, in_conv.in_channels, image_size, image_size), in_conv, generator)
    x = in_conv(noise)
    scaled: set[BottomUpBlock] = set()
    for block in applied_blocks:
        if block not in scaled:
            _scale(block.residual, x)
            scaled.add(block)
        x = block(x)


def preserve_variance_of_latents(blocks: list[TopDownBlock], generator: Generator) -> None:
    """Scale the cells of top-down blocks for latents from a standard normal distribution."""
    for block in blocks:
        shape = (NUM_IMAGES, block.zdim, block.resolution, block.resolution)
        x = _unit(block.z_projection, _noise(shape, block.z_projection, generator))
        _scale(block.residual, x)


def _noise(shape: tuple[int, ...], like: nn.Conv2d, generator: Generator) -> Tensor:
    weight = like.weight
    noise = torch.randn(shape, generator=generator, device=generator.device, dtype=weight.dtype)
    return noise.to(weight.device)


def _scale(bottleneck: Bottleneck, x: Tensor) -> None:
    for layer in (bottleneck.conv1, bottleneck.conv2, bottleneck.conv3, bottleneck.conv4):
        x = _unit(layer, gelu(x))


def _unit(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """The output of a convolution without bias, scaled to a root mean square of 1."""
    output: Tensor = layer(x)
    size = output.square().mean().sqrt()
    layer.weight /= size
    return output / size
