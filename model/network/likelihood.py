"""The likelihoods p(x | z): Bernoulli, and a mixture of discretised logistics (PixelCNN++)."""

from collections.abc import Iterable, Sequence
from math import log

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

from model.config import ModelConfig


class Bernoulli(nn.Module):
    """Independent binary pixels; images hold 0 and 1."""

    loss_dims = 1  # the loss is in nats per image

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.out_conv = nn.Conv2d(config.width, config.image_channels, kernel_size=1)

    def distortion_nats(self, features: Tensor, images: Tensor) -> Tensor:
        """-log p(x | z) in nats per image [B], of images uint8 [B, C, H, W] with values 0 and 1."""
        logits = covered_pixels(self.out_conv(features), self.config)
        targets = covered_pixels(images, self.config).to(logits.dtype)
        return binary_cross_entropy_with_logits(logits, targets, reduction="none").sum((1, 2, 3))

    def decode(self, features: Tensor, generators: Iterable[Generator]) -> Tensor:
        """Images to look at, uint8 [B, C, H, W] in 0 ... 255: the probability of a white pixel."""
        return (self.out_conv(features).sigmoid() * 255).round().to(torch.uint8)


class DiscretisedLogistics(nn.Module):
    """A mixture of discretised logistics over RGB pixels; green and blue depend on the ones before.

    The parameters, the order of channels and the branch at a probability of 1e-5 are PixelCNN++'s
    and VDVAE's: below it the density at the centre times the width of a bin stands for the
    difference of two nearly equal sigmoids.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        # The loss is in nats per dimension, so that the thresholds for gradients do not depend on
        # the size of the images (VDVAE).
        self.loss_dims = config.likelihood_dims
        self.num_mixtures = config.num_mixtures
        self.config = config
        self.out_conv = nn.Conv2d(config.width, 10 * config.num_mixtures, kernel_size=1)

    def _mixture(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits [B, M, H, W]; means, log scales and coefficients [B, 3, M, H, W]."""
        out = self.out_conv(features)
        batch, _, height, width = out.shape
        logits, rest = out[:, : self.num_mixtures], out[:, self.num_mixtures :]
        rest = rest.reshape(batch, 3, 3 * self.num_mixtures, height, width)
        means, log_scales, coefficients = rest.chunk(3, dim=2)
        return logits, means, log_scales.clamp(min=-7), coefficients.tanh()

    def distortion_nats(self, features: Tensor, images: Tensor) -> Tensor:
        """-log p(x | z) in nats per image [B], of images uint8 [B, 3, H, W] in 0 ... 255."""
        features = covered_pixels(features, self.config)
        logits, means, log_scales, coefficients = self._mixture(features)
        x = covered_pixels(images, self.config).to(means.dtype)
        x = _scaled(x)[:, :, None]  # [B, 3, 1, H, W] in -1 ... 1
        red, green = x[:, 0], x[:, 1]
        means = torch.stack(
            [
                means[:, 0],
                means[:, 1] + coefficients[:, 0] * red,
                means[:, 2] + coefficients[:, 1] * red + coefficients[:, 2] * green,
            ],
            dim=1,
        )
        log_probs = _discretised_logistic(x, means, log_scales).sum(dim=1)  # [B, M, H, W]
        return -torch.logsumexp(log_probs + logits.log_softmax(dim=1), dim=1).sum((1, 2))

    def decode(self, features: Tensor, generators: Iterable[Generator]) -> Tensor:
        """Images drawn from the likelihood, uint8 [B, 3, H, W] in 0 ... 255.

        A logistic variable rounded to the nearest level is the level whose bin it falls in; the
        outer bins are open, which is the clamp.  Green is drawn given the rounded red, blue given
        both rounded: `distortion_nats` conditions on 8-bit values.
        """
        logits, means, log_scales, coefficients = self._mixture(features)
        uniform = _uniform([logits.shape[1:], means[:, :, 0].shape[1:]], generators)
        gumbel = -(-uniform[0].log()).log()
        chosen = (logits + gumbel).argmax(dim=1)[:, None, None].expand(-1, 3, 1, -1, -1)
        mean, log_scale, coefficient = (
            parameter.gather(2, chosen)[:, :, 0] for parameter in (means, log_scales, coefficients)
        )
        u = uniform[1]
        x = mean + log_scale.exp() * (u.log() - (-u).log1p())
        red = _level(x[:, 0])
        green = _level(x[:, 1] + coefficient[:, 0] * _scaled(red))
        blue = _level(
            x[:, 2] + coefficient[:, 1] * _scaled(red) + coefficient[:, 2] * _scaled(green)
        )
        return torch.stack([red, green, blue], dim=1).to(torch.uint8)


def _scaled(levels: Tensor) -> Tensor:
    """0 ... 255 -> -1 ... 1."""
    return (levels - 127.5) / 127.5


def _level(x: Tensor) -> Tensor:
    """The nearest of the levels 0 ... 255, whose scaled values are -1 ... 1."""
    return (x * 127.5 + 127.5).round().clamp(0, 255)


def _uniform(shapes: Sequence[torch.Size], generators: Iterable[Generator]) -> list[Tensor]:
    """Uniform in (0, 1), tensors [B, ...]; `rand` gives multiples of 2^-24, 0 among them."""
    sizes = [shape.numel() for shape in shapes]
    rows = [torch.rand(sum(sizes), generator=of, device=of.device) for of in generators]
    parts = torch.stack(rows).clamp(min=2**-25).split(sizes, dim=1)
    return [part.reshape(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]


def _discretised_logistic(x: Tensor, means: Tensor, log_scales: Tensor) -> Tensor:
    """log P(x) of 8-bit values scaled to -1 ... 1, bins of 2/255, open at both ends."""
    centred = x - means
    inverse_scale = (-log_scales).exp()
    upper = inverse_scale * (centred + 1 / 255)
    lower = inverse_scale * (centred - 1 / 255)
    middle = inverse_scale * centred
    mass = upper.sigmoid() - lower.sigmoid()
    log_density = middle - log_scales - 2 * softplus(middle)
    inside = torch.where(mass > 1e-5, mass.clamp(min=1e-12).log(), log_density - log(127.5))
    at_zero = upper - softplus(upper)  # everything below the bin's upper edge
    at_255 = -softplus(lower)  # everything above its lower edge
    return torch.where(x < -0.999, at_zero, torch.where(x > 0.999, at_255, inside))


def covered_pixels(x: Tensor, config: ModelConfig) -> Tensor:
    """The central pixels of [..., H, W] that the likelihood covers.

    Those around them are padding in the data, and anything in samples.
    """
    size = config.likelihood_size or config.image_size
    margin = (x.shape[-1] - size) // 2
    return x[..., margin : margin + size, margin : margin + size]
