"""Fourier features as extra channels at the network's input (after VDM, Kingma et al. 2021)."""

from collections.abc import Sequence
from math import pi
from typing import Literal

import torch
from torch import Tensor


def num_features(
    of: Literal["none", "value", "position"], exponents: Sequence[int], image_channels: int
) -> int:
    """Number of extra channels: sin and cos per exponent, of each channel or of both axes."""
    sources = {"none": 0, "value": image_channels, "position": 2}[of]
    return 2 * len(exponents) * sources


def features(images: Tensor, of: Literal["value", "position"], exponents: Sequence[int]) -> Tensor:
    """sin(2 pi f x) and cos(2 pi f x), f = 2^n, of 8-bit pixels [B, C, H, W]; float32 [B, F, H, W].

    `value`: x = (k + 1/2) / 256 for the pixel value k, where f = 128 is the Nyquist limit.
    `position`: x = (i + 1/2) / size along each axis.  ModelConfig refuses exponents that do not
    lie below the Nyquist limit.
    """
    batch, _, height, width = images.shape
    if of == "value":
        x = (images.float() + 0.5) / 256  # [B, C, H, W]
    else:
        rows = (torch.arange(height, device=images.device) + 0.5) / height
        columns = (torch.arange(width, device=images.device) + 0.5) / width
        x = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(batch, 2, -1, -1)
    angles = torch.cat([2 * pi * 2**n * x for n in exponents], dim=1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)
