"""The blocks of both towers: bottleneck, bottom-up block, top-down block with its latent."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from model.config import ModelConfig
from model.network.cell import has_prior_step, latent_step
from model.network.layout import Block
from model.network.pooling import embed, pool
from model.network.residual import bottom_up_step, top_down_cell
from model.network.state_norm import normalise


def conv(in_channels: int, out_channels: int, kernel_size: int) -> nn.Conv2d:
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
    """A residual bottleneck, then pooling where the layout asks for it."""

    def __init__(self, config: ModelConfig, block: Block) -> None:
        super().__init__()
        self.down = block.down
        self.pooling = config.pooling
        self.residual_cells = config.residual_cells
        self.state_norm = config.state_norm
        self.residual = Bottleneck(config.width, config.width, config, block.resolution)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> [B, width, H / down, W / down]."""
        x = bottom_up_step(x, self.residual(x), residual_cells=self.residual_cells)
        if self.down is not None:
            x = pool(x, self.down, self.pooling)
        return normalise(x, self.state_norm)


@dataclass(frozen=True)
class Latent:
    """A stochastic layer's latent, the posterior it is drawn from, and the prior."""

    z: Tensor  # [B, zdim, H, W]
    posterior_mean: Tensor
    posterior_log_sigma: Tensor
    prior_mean: Tensor
    prior_log_sigma: Tensor

    def rate_nats(self) -> Tensor:
        """KL(posterior || prior) in nats per image [B]; finite for any finite parameters."""
        log_ratio = self.posterior_log_sigma - self.prior_log_sigma
        # exp() of a float32 overflows at 88: without the clamps 0 * inf would make a NaN.
        variance_ratio = (2 * log_ratio).clamp(max=80).exp()
        distance = self.posterior_mean - self.prior_mean
        distance = distance * (-self.prior_log_sigma).clamp(max=40).exp()
        return (0.5 * (variance_ratio + distance.square()) - 0.5 - log_ratio).sum((1, 2, 3))

    def log_ratio_nats(self, noise: Tensor) -> Tensor:
        """log p(z) - log q(z | x) in nats per image [B], for z drawn with `noise` (z's shape)."""
        from_prior = (self.z - self.prior_mean) * (-self.prior_log_sigma).clamp(max=40).exp()
        log_ratio = 0.5 * (noise.square() - from_prior.square())
        return (log_ratio + self.posterior_log_sigma - self.prior_log_sigma).sum((1, 2, 3))


class TopDownBlock(nn.Module):
    """A Gaussian latent and its cell; VDVAE's is two forward Euler steps (Theorem 4)."""

    def __init__(self, config: ModelConfig, block: Block) -> None:
        super().__init__()
        width, zdim, resolution = config.width, config.latent_channels, block.resolution
        self.zdim = zdim
        self.resolution = resolution
        self.mixin = block.mixin
        self.pooling = config.pooling
        self.cell = top_down_cell(config.cell, residual_cells=config.residual_cells)
        self.state_norm = config.state_norm
        features = width if has_prior_step(self.cell) else 0
        self.posterior = Bottleneck(2 * width, 2 * zdim, config, resolution)
        self.prior = Bottleneck(width, 2 * zdim + features, config, resolution)
        self.z_projection = conv(zdim, width, 1)
        self.residual = Bottleneck(width, width, config, resolution)

    def mix_in(self, states: dict[int, Tensor]) -> Tensor:
        """This resolution's state, plus the coarser one upsampled where the layout asks for it."""
        x = states[self.resolution]
        if self.mixin is None:
            return x
        return x + embed(states[self.mixin], self.resolution // self.mixin, self.pooling)

    def forward(self, x: Tensor, activation: Tensor, noise: Tensor) -> tuple[Tensor, Latent]:
        """Posterior pass: state [B, width, H, W] -> next state, and the latent drawn."""
        posterior_mean, posterior_log_sigma = self.posterior(
            torch.cat([x, activation], dim=1)
        ).chunk(2, dim=1)
        x, prior_mean, prior_log_sigma = self._prior_step(x)
        z = posterior_mean + posterior_log_sigma.exp() * noise
        latent = Latent(z, posterior_mean, posterior_log_sigma, prior_mean, prior_log_sigma)
        return self._latent_step(x, z), latent

    def generate(
        self, x: Tensor, noise: Tensor, temperature: float, latent: Tensor | None = None
    ) -> Tensor:
        """Prior pass: draw the latent at `temperature` times the prior's sigma, or take it."""
        x, prior_mean, prior_log_sigma = self._prior_step(x)
        if latent is None:
            latent = prior_mean + temperature * prior_log_sigma.exp() * noise
        return self._latent_step(x, latent)

    def _prior_step(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """First deterministic step, Z^(1) = x + prior features, if the cell has one; the prior."""
        out = self.prior(x)
        prior_mean, prior_log_sigma = out[:, : 2 * self.zdim].chunk(2, dim=1)
        if has_prior_step(self.cell):
            x = x + out[:, 2 * self.zdim :]
        return x, prior_mean, prior_log_sigma

    def _latent_step(self, x: Tensor, z: Tensor) -> Tensor:
        """The rest of the cell."""
        x = latent_step(self.cell, x, self.z_projection(z), self.residual)
        return normalise(x, self.state_norm)
