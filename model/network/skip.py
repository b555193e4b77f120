"""Skip connections between the towers: which bottom-up output a top-down block sees."""

from collections.abc import Sequence
from typing import Literal

from model.network.layout import Block


def skip_sources(
    bottom_up: Sequence[Block],
    top_down: Sequence[Block],
    image_size: int,
    skip: Literal["last", "mirror"],
) -> list[int]:
    """The number of the bottom-up output that each applied top-down block sees, in order.

    Output 0 is the input convolution's; output k is that of the k-th applied bottom-up block.
    `last` (VDVAE, asynchronous): the last output at the block's resolution.
    `mirror` (our reading of the paper's synchronous): the first top-down block of a resolution sees
    the last bottom-up block.  Of the K top-down blocks at a resolution, block k = 0 ... K - 1 sees
    bottom-up block n - 1 - floor(k n / K) of the n that work there and do not pool; where there is
    none, it sees the state that was pooled to the resolution.  The two depths may differ, and every
    bottom-up block is seen, or works for one that is.
    """
    outputs: dict[int, list[int]] = {image_size: [0]}  # per resolution; what came in first
    applied = [block for block in bottom_up for _ in range(block.repeats)]
    for index, block in enumerate(applied, start=1):
        if block.down is None:
            outputs[block.resolution].append(index)
        else:
            outputs[block.output_resolution] = [index]

    resolutions = [block.resolution for block in top_down for _ in range(block.repeats)]
    sources = []
    for index, resolution in enumerate(resolutions):
        available = outputs[resolution][1:] or outputs[resolution]
        if skip == "last":
            sources.append(available[-1])
        else:
            num_blocks = resolutions.count(resolution)
            block_index = resolutions[:index].count(resolution)
            steps_back = block_index * len(available) // num_blocks
            sources.append(available[len(available) - 1 - steps_back])
    return sources
