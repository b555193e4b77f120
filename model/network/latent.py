"""The latent of a stochastic layer: how it is drawn, and its KL with a gradient written out."""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

LARGEST = 80.0  # exp() of a float32 overflows at 88, and 0 * inf would make a NaN


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

    @classmethod
    def draw(cls, posterior: Tensor, prior: Tensor, noise: Tensor) -> "Latent":
        """z = mean + sigma noise of the posterior; it and the prior are [B, 2 zdim, H, W].

        Their channels are the means, then the log sigmas.
        """
        mean, log_sigma = posterior.chunk(2, dim=1)
        z = torch.addcmul(mean, log_sigma.exp(), noise)
        return cls(z, mean, log_sigma, *prior.chunk(2, dim=1))

    def rate_nats(self) -> Tensor:
        """KL(posterior || prior) in nats per image [B]; finite for any finite parameters."""
        rate: Tensor = _Rate.apply(  # type: ignore[no-untyped-call]
            self.posterior_mean, self.posterior_log_sigma, self.prior_mean, self.prior_log_sigma
        )
        return rate

    def rate_of_sigmas_nats(self) -> Tensor:
        """The part of the rate that the means have no part in, in nats per image [B].

        It is 0.5 (ratio^2 - 1) - log ratio of the sigmas, and does not change when both are scaled.
        """
        return replace(self, prior_mean=self.posterior_mean).rate_nats()

    def log_ratio_nats(self, noise: Tensor) -> Tensor:
        """log p(z) - log q(z | x) in nats per image [B], for z drawn with `noise` (z's shape)."""
        inverse, damping = _inverse(self.prior_log_sigma)
        distance = (self.z - self.prior_mean) * inverse
        log_ratio = 0.5 * (noise.square() - distance.square() * (2 - damping))
        return (log_ratio + self.posterior_log_sigma - self.prior_log_sigma).sum((1, 2, 3))


class _Rate(torch.autograd.Function):
    """KL(posterior || prior) [B]: 0.5 (ratio^2 + distance^2 - 1) - log ratio, summed over latents.

    `ratio` is that of the sigmas, `distance` that of the means in sigmas of the prior.  The
    gradient is written out since it shares its exponentials with the value: recorded by autograd,
    these thirty small operations take as long as a convolution.
    """

    @staticmethod
    def forward(
        ctx: Any, q_mean: Tensor, q_log_sigma: Tensor, p_mean: Tensor, p_log_sigma: Tensor
    ) -> Tensor:
        log_ratio = q_log_sigma - p_log_sigma
        exponent = 2 * log_ratio
        ratio_damping = _damping(exponent)
        ratio = exponent.clamp_(max=LARGEST).exp_()  # squared
        inverse, damping = _inverse(p_log_sigma)
        distance = (q_mean - p_mean) * inverse
        square = distance.square()
        rate = 0.5 * (ratio * (2 - ratio_damping) + square * (2 - damping)) - 0.5 - log_ratio
        if any(ctx.needs_input_grad):
            by_mean = distance.mul_(inverse).mul_(2 - damping)
            by_log_ratio = ratio.mul_(ratio_damping.square_()).sub_(1)
            by_prior_log_sigma = square.mul_(damping.square_()).add_(by_log_ratio).neg_()
            ctx.save_for_backward(by_mean, by_log_ratio, by_prior_log_sigma)
        return rate.sum((1, 2, 3))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        by_mean, by_log_ratio, by_prior_log_sigma = ctx.saved_tensors
        gradient = gradient[:, None, None, None]
        of_mean = by_mean * gradient
        return of_mean, by_log_ratio * gradient, -of_mean, by_prior_log_sigma * gradient


def _damping(exponent: Tensor) -> Tensor:
    """The d of what continues exp(x) beyond LARGEST: exp(LARGEST) (2 - d), with d = 1 below it.

    Held constant, exp(x) would lose its gradient there, and the other terms of the KL would push
    the sigmas of posterior and prior further apart.  So it rises towards twice that value, with
    d = 1 / (1 + x - LARGEST), whose derivative is -d^2.
    """
    return exponent.clamp(min=LARGEST).sub_(LARGEST - 1).reciprocal_()


def _inverse(log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """1 / sigma, and the damping of its square, for any finite log sigma."""
    inverse = (-log_sigma).clamp_(max=LARGEST / 2).exp_()
    return inverse, _damping(-2 * log_sigma)
