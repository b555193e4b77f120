"""Residual cells switched off: no block adds to the state that it gets (section 3.4)."""

from torch import Tensor

from model.config import ModelConfig
from model.network.blocks import BottomUpBlock, TopDownBlock
from model.network.cell import TOP_DOWN_BLOCKS, MarkovBlock


class PlainBottomUpBlock(BottomUpBlock):
    """A bottom-up block without "x +"."""

    def cell(self, x: Tensor) -> Tensor:
        """x <- residual(x)."""
        return self.residual(x)


def block_types(config: ModelConfig) -> tuple[type[BottomUpBlock], type[TopDownBlock]]:
    """The classes of the bottom-up and of the top-down blocks."""
    if config.residual_cells:
        return BottomUpBlock, TOP_DOWN_BLOCKS[config.cell]
    # VDVAE's cell without any "x +" is x <- features, x <- projected latent, x <- residual(x).
    # The features are overwritten, so they need no weights: that is the Markovian cell.
    return PlainBottomUpBlock, MarkovBlock
