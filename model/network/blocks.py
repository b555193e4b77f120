"""The blocks of both towers: bottleneck, bottom-up block, top-down block (figure 3).

Nothing is computed twice that two convolutions share: see `TopDownBlock.see` and `forward`.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, gelu

from model.config import ModelConfig
from model.network.latent import Latent
from model.network.layout import Block
from model.network.pooling import embed, pool
from model.network.precision import in_own_precision
from model.network.state_norm import normalise


def conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
    """A convolution that keeps the resolution."""
    return nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)


class Bottleneck(nn.Module):
    """1x1, 3x3, 3x3, 1x1 convolutions, each after a GELU; 1x1 throughout at resolutions 1 and 2."""

    def __init__(self, in_width: int, out_width: int, config: ModelConfig, resolution: int) -> None:
        super().__init__()
        middle = int(config.width * config.bottleneck_multiple)
        kernel_size = 3 if resolution > 2 else 1
        self.conv1 = conv(in_width, middle, 1)
        self.conv2 = conv(middle, middle, kernel_size)
        self.conv3 = conv(middle, middle, kernel_size)
        self.conv4 = conv(middle, out_width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, in_width, H, W] -> [B, out_width, H, W]."""
        return self.conv4(self.hidden(self.conv1(gelu(x))))

    def hidden(self, first: Tensor) -> Tensor:
        """What the last convolution gets, of what the first one gives; both [B, middle, H, W]."""
        return gelu(self.conv3(gelu(self.conv2(gelu(first)))))


class BottomUpBlock(nn.Module):
    """One residual step, then pooling where the layout asks for it."""

    def __init__(self, config: ModelConfig, block: Block) -> None:
        super().__init__()
        self.down = block.down
        self.pooling = config.pooling
        self.state_norm = config.state_norm
        self.residual = Bottleneck(config.width, config.width, config, block.resolution)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> [B, width, H / down, W / down]."""
        x = self.cell(x).to(x.dtype)  # the state, see precision.py
        if self.down is not None:
            with in_own_precision(x):
                x = pool(x, self.down, self.pooling)
        return normalise(x, self.state_norm)

    def cell(self, x: Tensor) -> Tensor:
        """x + residual(x); residual.py has the option without "x +"."""
        return x + self.residual(x)


class TopDownBlock(nn.Module):
    """One stochastic layer, with the cell of VDVAE (figure 3).

    The cells of cell.py are subclasses with another `cell` and without prior features.
    """

    has_prior_features = True  # the prior's bottleneck also gives the first Euler step

    def __init__(self, config: ModelConfig, block: Block) -> None:
        super().__init__()
        width, zdim, resolution = config.width, config.latent_channels, block.resolution
        self.width = width
        self.zdim = zdim
        self.resolution = resolution
        self.mixin = block.mixin
        self.pooling = config.pooling
        self.state_norm = config.state_norm
        # The prior's last convolution gives means, log sigmas and features.
        features = width if self.has_prior_features else 0
        self.posterior = Bottleneck(2 * width, 2 * zdim, config, resolution)
        self.prior = Bottleneck(width, 2 * zdim + features, config, resolution)
        self.z_projection = conv(zdim, width, 1)
        self.residual = Bottleneck(width, width, config, resolution)

    def mix_in(self, states: dict[int, Tensor]) -> Tensor:
        """The state [B, width, H, W] that the block starts from, out of those by resolution.

        It is the one at the block's resolution, plus the coarser one embedded where the layout
        asks for it.
        """
        x = states[self.resolution]
        if self.mixin is None:
            return x
        with in_own_precision(x):
            return x + embed(states[self.mixin], self.resolution // self.mixin, self.pooling)

    def see(self, activated: Tensor) -> Tensor:
        """The part of the posterior's first convolution that is of the image [B, middle, H, W].

        `activated` is the GELU of a bottom-up output [B, width, H, W].  The other part is of the
        state.  A convolution of both together gives their sum, but this part serves all repeats and
        any number of passes.
        """
        first = self.posterior.conv1
        return conv2d(activated, first.weight[:, self.width :], first.bias)

    def forward(self, x: Tensor, seen: Tensor, noise: Tensor) -> tuple[Tensor, Latent]:
        """Posterior pass: the next state, and the latent that the image gave it.

        The state x and the next one are [B, width, H, W], `seen` is what `see` gave, the noise is
        [B, zdim, H, W].
        """
        posterior, prior, hidden = self.distributions(x, seen)
        latent = Latent.draw(posterior, prior, noise)
        x = self.cell(x, hidden, latent.z).to(x.dtype)  # the state, see precision.py
        return normalise(x, self.state_norm), latent

    def distributions(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The posterior q(z | x, image) and the prior p(z | x), and what `cell` calls hidden.

        The first two are [B, 2 zdim, H, W]: means, then log sigmas.
        """
        activated = gelu(x)
        first = conv2d(activated, self.posterior.conv1.weight[:, : self.width])
        posterior = self.posterior.conv4(self.posterior.hidden(first + seen))
        prior, hidden = self._prior(activated)
        return posterior.to(x.dtype), prior.to(x.dtype), hidden

    def generate(self, x: Tensor, noise: Tensor, temperature: float) -> Tensor:
        """Prior pass: the next state, with a latent at `temperature` times the prior's sigma."""
        prior, hidden = self._prior(gelu(x))
        p_mean, p_log_sigma = prior.chunk(2, dim=1)
        z = p_mean + temperature * p_log_sigma.exp() * noise
        x = self.cell(x, hidden, z)
        return normalise(x, self.state_norm)

    def cell(self, x: Tensor, hidden: Tensor, z: Tensor) -> Tensor:
        """The state after both forward Euler steps, with the latent between them (Theorem 4).

        x is [B, width, H, W], the latent z is [B, zdim, H, W], `hidden` is what the prior's
        features are made of [B, middle, H, W].
        """
        # The first step, Z^(1), is x + features, then comes + projected latent: both are linear and
        # added to the same state, so one convolution gives their sum.
        (weight, bias), projection = self._last_of_prior(features=True), self.z_projection
        assert projection.bias is not None
        x = x + conv2d(
            torch.cat([hidden, z], dim=1),
            torch.cat([weight, projection.weight], dim=1),
            bias + projection.bias,
        )
        return x + self.residual(x)  # the second step

    def features(self, hidden: Tensor) -> Tensor:
        """The prior's features [B, width, H, W]; no channels in cells without them."""
        if not self.has_prior_features:
            return hidden[:, :0]
        return conv2d(hidden, *self._last_of_prior(features=True))

    def _prior(self, activated: Tensor) -> tuple[Tensor, Tensor]:
        """Means and log sigmas [B, 2 zdim, H, W], and what the features are made of."""
        hidden = self.prior.hidden(self.prior.conv1(activated))
        return conv2d(hidden, *self._last_of_prior(features=False)), hidden

    def _last_of_prior(self, *, features: bool) -> tuple[Tensor, Tensor]:
        """Weight and bias of the prior's last convolution, for the features or for the rest."""
        last = self.prior.conv4
        assert last.bias is not None
        rows = slice(2 * self.zdim, None) if features else slice(2 * self.zdim)
        return last.weight[rows], last.bias[rows]
