"""Single or multiple resolutions (table 3), and the pooling and embedding between resolutions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from model.layout import Block

if TYPE_CHECKING:  # config and the dry run import this file and do not need torch
    from torch import Tensor


def single_resolution(blocks: Sequence[Block], image_size: int) -> tuple[Block, ...]:
    """Move every block to the image's resolution, without pooling or embedding.

    Depth is kept, so parameters rise where the layout has blocks of 1x1 convolutions.  The paper's
    single-resolution models match parameters instead; their layouts are written out in config.yaml.
    """
    return tuple(Block(resolution=image_size, repeats=block.repeats) for block in blocks)


def pool(x: "Tensor", factor: int) -> "Tensor":
    """Average-pool [B, C, H, W] by `factor`: the projection onto the coarser space (Theorem 2)."""
    from torch.nn.functional import avg_pool2d

    return avg_pool2d(x, kernel_size=factor, stride=factor)


def embed(x: "Tensor", factor: int) -> "Tensor":
    """Upsample [B, C, H, W] by `factor` to the nearest neighbour: the embedding E of the U-Net."""
    from torch.nn.functional import interpolate

    return interpolate(x, scale_factor=factor, mode="nearest")
