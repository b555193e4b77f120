"""Weight sharing: one parameterised block applied several times (section 3.2, figure 4)."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from model.network.layout import Block

T = TypeVar("T")


def repeat(blocks: Sequence[Block], repeats: int) -> tuple[Block, ...]:
    """Let every plain block be applied `repeats` times as often; blocks that project or embed once.

    This is r2 ... r20 of figure 4: "the x1 model's block, applied r times per resolution".
    """
    return tuple(
        replace(block, repeats=block.repeats * repeats) if block.is_plain else block
        for block in blocks
    )


def unroll(modules: Iterable[T], blocks: Sequence[Block]) -> list[T]:
    """Return one entry per application, in order; the repeats of a block are the same module."""
    return [
        module for module, block in zip(modules, blocks, strict=True) for _ in range(block.repeats)
    ]
