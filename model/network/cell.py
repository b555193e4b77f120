"""The top-down cells other than VDVAE's (figure A.1): how a block changes the state."""

from torch import Tensor

from model.network.blocks import TopDownBlock


class NvaeBlock(TopDownBlock):
    """NVAE's cell: VDVAE's without the first Euler step."""

    has_prior_features = False

    def cell(self, x: Tensor, hidden: Tensor, z: Tensor) -> Tensor:
        """x <- x + projected latent, x <- x + residual(x); there are no features."""
        x = x + self.z_projection(z)
        return x + self.residual(x)


class MarkovBlock(TopDownBlock):
    """The Markovian cell: nothing but the latent is handed on."""

    has_prior_features = False

    def cell(self, x: Tensor, hidden: Tensor, z: Tensor) -> Tensor:
        """x <- residual(projected latent); there are no features."""
        return self.residual(self.z_projection(z))


TOP_DOWN_BLOCKS = {"vdvae": TopDownBlock, "nvae": NvaeBlock, "markov": MarkovBlock}
