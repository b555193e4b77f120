"""Skip connections between the towers: which bottom-up output a top-down block sees."""

from collections.abc import Sequence
from typing import Literal

from model.network.layout import Block

Skip = Literal["last", "mirror"]


def skip_sources(
    bottom_up: Sequence[Block], top_down: Sequence[Block], image_size: int, skip: Skip
) -> list[int]:
    """For each applied top-down block, in order, the bottom-up output that it sees.

    Output 0 is that of the input convolution, output k that of the k-th applied block.
    `last` (VDVAE, asynchronous): the last output at the block's resolution.
    `mirror` (synchronous): block k of the K at a resolution sees the output of bottom-up block
    floor((K - 1 - k) n / K) of the n that work and stay there, or, where none does, what was pooled
    to it.  The depths may differ; with K < n the last ones are seen by no block.
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
            sources.append(available[(num_blocks - 1 - block_index) * len(available) // num_blocks])
    return sources
