"""Block strings such as "32x11,32d2,16x6" and the blocks that they stand for."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

# More than ten times the deepest model that is known to be trained.
MAX_DEPTH = 10_000

_ENTRY = re.compile(
    r"(?P<resolution>[0-9]+)"
    r"(?:(?:x(?P<count>[0-9]+))?(?:r(?P<repeats>[0-9]+))?|d(?P<down>[0-9]+)|m(?P<mixin>[0-9]+))"
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


@lru_cache(maxsize=1000)  # a study's runs repeat a few
def parse(text: str) -> tuple[Block, ...]:
    """Parse a block string into its blocks, in order of application.

    `32x11` is eleven blocks at 32x32, `32d2` a block and then average pooling by 2, `16m8` a block
    at 16x16 that first adds the 8x8 state upsampled, `32r20` one block applied 20 times and
    `32x10r3` ten blocks, each applied 3 times.  Raises ValueError that names the wrong entry.
    """
    blocks: list[Block] = []
    for entry in text.replace(" ", "").split(","):
        about = f"block string {_shortened(text)}: entry {_shortened(entry)}"
        match = _ENTRY.fullmatch(entry)
        if match is None:
            raise ValueError(f"{about} cannot be read (write 32x11, 32d2, 16m8, 32r20 or 32x10r3)")
        written = {name: digits for name, digits in match.groupdict().items() if digits}
        if any(len(digits) > 9 for digits in written.values()):
            raise ValueError(f"{about} has a number of more than 9 digits")
        numbers = {name: int(digits) for name, digits in written.items()}
        if 0 in numbers.values():
            raise ValueError(f"{about} has a zero")
        count = numbers.pop("count", 1)
        _require_depth(len(blocks) + count * numbers.get("repeats", 1))
        blocks += [Block(**numbers)] * count
    return tuple(blocks)


def text(blocks: Iterable[Block]) -> str:
    """The block string that `parse` reads as these blocks."""
    return ",".join(map(_entry, blocks))


def _entry(block: Block) -> str:
    if block.down is not None:
        return f"{block.resolution}d{block.down}"
    if block.mixin is not None:
        return f"{block.resolution}m{block.mixin}"
    return f"{block.resolution}r{block.repeats}"


def check_depth(blocks: Sequence[Block], repeats: int) -> None:
    """Raise ValueError for too many blocks, once plain ones are applied `repeats` times."""
    _require_depth(sum(b.repeats * (repeats if b.is_plain else 1) for b in blocks))


def _require_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"{depth:,} blocks one after the other; at most {MAX_DEPTH:,} can be")


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")


def multiply(blocks: Sequence[Block], factor: int) -> tuple[Block, ...]:
    """Put `factor` blocks, each with weights of its own, in the place of every plain block.

    This is x1 ... x4 of figure 4: blocks that project or embed stay single. Raises ValueError for
    more of them than can be.
    """
    _require_depth(sum(factor if block.is_plain else 1 for block in blocks))
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
