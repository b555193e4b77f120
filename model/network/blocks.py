"""The blocks of both towers: bottleneck, bottom-up block, top-down block (figure 3)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from model.config import ModelConfig
from model.network.layout import Block
from model.network.pooling import embed, pool
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
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = layer(gelu(x))
        return x


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
        x = self.cell(x)
        if self.down is not None:
            x = pool(x, self.down, self.pooling)
        return normalise(x, self.state_norm)

    def cell(self, x: Tensor) -> Tensor:
        """x + residual(x); residual.py has the option without "x +"."""
        return x + self.residual(x)


@dataclass(frozen=True)
class Latent:
    """The latent of a stochastic layer, the posterior it was drawn from, and the prior.

    Both are Gaussian with a diagonal covariance; all fields are [B, zdim, H, W].
    """

    z: Tensor
    posterior_mean: Tensor
    posterior_log_sigma: Tensor
    prior_mean: Tensor
    prior_log_sigma: Tensor

    def rate_nats(self) -> Tensor:
        """KL(posterior || prior) in nats per image [B]; finite for any finite parameters."""
        log_ratio = self.posterior_log_sigma - self.prior_log_sigma
        variance_ratio = (2 * log_ratio).clamp(max=LARGEST).exp() * _beyond(2 * log_ratio)
        distance = self._in_prior_sigmas(self.posterior_mean)
        return (0.5 * (variance_ratio + distance) - 0.5 - log_ratio).sum((1, 2, 3))

    def log_ratio_nats(self, noise: Tensor) -> Tensor:
        """log p(z) - log q(z | x) in nats per image [B], for z drawn with `noise` (z's shape)."""
        log_ratio = 0.5 * (noise.square() - self._in_prior_sigmas(self.z))
        return (log_ratio + self.posterior_log_sigma - self.prior_log_sigma).sum((1, 2, 3))

    def _in_prior_sigmas(self, x: Tensor) -> Tensor:
        """The squared distance of x to the prior's mean, over the prior's variance."""
        log_precision = -self.prior_log_sigma
        distance = (x - self.prior_mean) * log_precision.clamp(max=LARGEST / 2).exp()
        return distance.square() * _beyond(2 * log_precision)


LARGEST = 80.0  # exp() of a float32 overflows at 88, and 0 * inf would make a NaN


def _beyond(x: Tensor) -> Tensor:
    """What continues exp(x), held constant above LARGEST: 1 below it, then rising towards 2.

    Where exp(x) alone would be constant its gradient would be lost, and the other terms of the KL
    would push the sigmas of posterior and prior further apart.
    """
    return 2 - 1 / (1 + (x - LARGEST).clamp(min=0))


class TopDownBlock(nn.Module):
    """One stochastic layer, with the cell of VDVAE (figure 3).

    The cells of cell.py are subclasses with another `cell` and without prior features.
    """

    has_prior_features = True  # the prior's bottleneck also gives the first Euler step

    def __init__(self, config: ModelConfig, block: Block) -> None:
        super().__init__()
        width, zdim, resolution = config.width, config.latent_channels, block.resolution
        self.zdim = zdim
        self.resolution = resolution
        self.mixin = block.mixin
        self.pooling = config.pooling
        self.state_norm = config.state_norm
        features = width if self.has_prior_features else 0
        self.prior_splits = (zdim, 2 * zdim)  # mean, log sigma, features
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
        return x + embed(states[self.mixin], self.resolution // self.mixin, self.pooling)

    def forward(self, x: Tensor, activation: Tensor, noise: Tensor) -> tuple[Tensor, Latent]:
        """Posterior pass: the next state, and the latent that the image gave it.

        The state x, the bottom-up activation and the next state are [B, width, H, W], the noise is
        [B, zdim, H, W].
        """
        # The posterior q(z | x, image), the prior p(z | x): means and log sigmas [B, zdim, H, W].
        q_mean, q_log_sigma = self.posterior(torch.cat([x, activation], dim=1)).chunk(2, dim=1)
        p_mean, p_log_sigma, features = self.prior(x).tensor_split(self.prior_splits, dim=1)
        z = q_mean + q_log_sigma.exp() * noise
        x = self.cell(x, features, z)
        return normalise(x, self.state_norm), Latent(z, q_mean, q_log_sigma, p_mean, p_log_sigma)

    def cell(self, x: Tensor, features: Tensor, z: Tensor) -> Tensor:
        """The state after both forward Euler steps, with the latent between them (Theorem 4).

        x and the prior's features are [B, width, H, W], z is [B, zdim, H, W].
        """
        x = x + features  # the first step, Z^(1)
        x = x + self.z_projection(z)  # the latent
        return x + self.residual(x)  # the second step

    def generate(self, x: Tensor, noise: Tensor, temperature: float) -> Tensor:
        """Prior pass: the next state, with a latent at `temperature` times the prior's sigma."""
        p_mean, p_log_sigma, features = self.prior(x).tensor_split(self.prior_splits, dim=1)
        z = p_mean + temperature * p_log_sigma.exp() * noise
        x = self.cell(x, features, z)
        return normalise(x, self.state_norm)
