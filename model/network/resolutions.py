"""Single or multiple resolutions (table 3)."""

from collections.abc import Sequence

from model.network.layout import Block


def single_resolution(blocks: Sequence[Block], image_size: int) -> tuple[Block, ...]:
    """Move every block to the image's resolution, without pooling or embedding.

    Depth is kept, so parameters rise where the layout has blocks of 1x1 convolutions.  The paper's
    single-resolution models match parameters instead; their layouts are written out in config.yaml.
    """
    return tuple(Block(resolution=image_size, repeats=block.repeats) for block in blocks)
