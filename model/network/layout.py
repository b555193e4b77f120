"""Block strings such as "32x11,32d2,16x6" and the blocks that they stand for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_ENTRY = re.compile(
    r"(?P<resolution>\d+)"
    r"(?:(?:x(?P<count>\d+))?(?:r(?P<repeats>\d+))?|d(?P<down>\d+)|m(?P<mixin>\d+))"
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One parameterised block of a tower, at `resolution` x `resolution` pixels."""

    resolution: int
    down: int | None = None  # bottom-up: average-pool by this factor after the block ("32d2")
    mixin: int | None = None  # top-down: first add this resolution's state, upsampled ("16m8")
    repeats: int = 1  # how often the block is applied, with the same weights ("32r20")

    @property
    def is_plain(self) -> bool:
        """Whether the block neither projects down nor embeds up (an `x` entry)."""
        return self.down is None and self.mixin is None

    @property
    def output_resolution(self) -> int:
        return self.resolution // (self.down or 1)


def parse(text: str) -> tuple[Block, ...]:
    """Parse a block string into its blocks, in order of application.

    `32x11` is eleven blocks at 32x32, `32d2` a block and then average pooling by 2, `16m8` a block
    at 16x16 that first adds the 8x8 state upsampled, `32r20` one block applied 20 times and
    `32x10r3` ten blocks, each applied 3 times.  Raises ValueError that names the wrong entry.
    """
    blocks: list[Block] = []
    for entry in text.replace(" ", "").split(","):
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(
                f"block string {text!r}: cannot read entry {entry!r} "
                "(write 32x11, 32d2, 16m8, 32r20 or 32x10r3)"
            )
        numbers = {name: int(value) for name, value in match.groupdict().items() if value}
        if 0 in numbers.values():
            raise ValueError(f"block string {text!r}: entry {entry!r} has a zero")
        count = numbers.pop("count", 1)
        blocks += [Block(**numbers)] * count
    return tuple(blocks)


def multiply(blocks: Sequence[Block], factor: int) -> tuple[Block, ...]:
    """Put `factor` blocks, each with weights of its own, in the place of every plain block.

    This is x1 ... x4 of figure 4: blocks that project or embed stay single.
    """
    return tuple(b for block in blocks for b in [block] * (factor if block.is_plain else 1))


def check_bottom_up(blocks: Sequence[Block], image_size: int) -> None:
    """Raise ValueError unless each block starts at the resolution where the last one ended."""
    resolution = image_size
    for block in blocks:
        if block.mixin is not None:
            raise ValueError(f"encoder: {block.resolution}m{block.mixin} belongs to a decoder")
        if block.resolution != resolution:
            raise ValueError(
                f"encoder: a block at resolution {block.resolution} follows a state of resolution "
                f"{resolution} (image_size is {image_size})"
            )
        if block.down is not None and resolution % block.down:
            raise ValueError(
                f"encoder: {block.resolution}d{block.down}: {block.down} does not divide "
                f"{block.resolution}"
            )
        resolution = block.output_resolution


def check_top_down(
    blocks: Sequence[Block], image_size: int, bottom_up_resolutions: set[int]
) -> None:
    """Raise ValueError unless every block finds its state, its activations and its mixin."""
    seen: set[int] = set()
    for block in blocks:
        if block.down is not None:
            raise ValueError(f"decoder: {block.resolution}d{block.down} belongs to an encoder")
        if block.resolution not in bottom_up_resolutions:
            raise ValueError(
                f"decoder: the encoder has no activations at resolution {block.resolution} "
                f"(it has {', '.join(map(str, sorted(bottom_up_resolutions)))})"
            )
        if block.mixin is not None and (
            block.mixin not in seen
            or block.resolution % block.mixin
            or block.mixin == block.resolution
        ):
            raise ValueError(
                f"decoder: {block.resolution}m{block.mixin} needs an earlier state at a lower "
                f"resolution {block.mixin} that divides {block.resolution}"
            )
        seen.add(block.resolution)
    if image_size not in seen:
        raise ValueError(f"decoder: no block at the image's resolution {image_size}")
