"""Likelihoods against independent computations, and their sums over all values."""

import numpy as np
import pytest
import torch
from examples import RGB, tiny_config
from scipy.stats import logistic

from model.network.latent import Latent
from model.network.likelihood import (
    Bernoulli,
    DiscretisedLogistics,
    _discretised_logistic,
)


def logistics(log_scale: float, seed: int = 0) -> tuple[DiscretisedLogistics, torch.Tensor]:
    """A likelihood in float64 whose scales lie around exp(log_scale), and features [1, 8, 8, 8]."""
    generator = torch.Generator().manual_seed(seed)
    likelihood = DiscretisedLogistics(tiny_config(**RGB, num_mixtures=3)).double()
    with torch.no_grad():
        likelihood.out_conv.weight.normal_(0, 0.2, generator=generator)
        likelihood.out_conv.bias.normal_(0, 0.5, generator=generator)
        likelihood.out_conv.bias[3:].view(3, 3, 3)[:, 1] += log_scale  # channel, kind, mixture
    return likelihood, torch.randn(1, 8, 8, 8, generator=generator, dtype=torch.float64)


PREVIOUS = {0: [], 1: [(0, 0)], 2: [(1, 0), (2, 1)]}  # channel: (coefficient, earlier channel)
VALUES = (torch.arange(256, dtype=torch.float64) - 127.5) / 127.5


@pytest.mark.parametrize("log_scale", [-7.0, -5.0, -3.0, -1.0, 1.0])
@pytest.mark.parametrize("mean", [-1.3, -1.0, -0.998, 0.0, 0.41, 1.0, 1.2])
def test_probabilities_of_the_256_values_of_a_sub_pixel_sum_to_1(
    mean: float, log_scale: float
) -> None:
    log_p = _discretised_logistic(VALUES, torch.tensor(mean), torch.tensor(log_scale))
    assert abs(log_p.exp().sum() - 1) < 1e-4


@pytest.mark.parametrize("log_scale", [-3.0, -1.0])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_likelihood_of_an_image_equals_a_brute_force_mixture(
    log_scale: float, channel: int
) -> None:
    """All 256 values of one sub-pixel, edges included, against SciPy's logistic distribution."""
    likelihood, features = logistics(log_scale)
    images = torch.randint(0, 256, (1, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    images = images.repeat(256, 1, 1, 1)
    images[:, channel, 2, 5] = torch.arange(256)
    with torch.no_grad():
        found = -likelihood.distortion_nats(
            features.expand(256, -1, -1, -1), images.to(torch.uint8)
        )
        logits, means, log_scales, coefficients = (
            parameter[0].numpy() for parameter in likelihood._mixture(features)
        )  # [M, H, W] and [3, M, H, W]
    k = images.numpy()  # [256, 3, 8, 8]
    x = (k - 127.5) / 127.5
    log_p = np.broadcast_to(logits - np.logaddexp.reduce(logits), (256, 3, 8, 8))  # mixtures
    for c in range(3):
        mean = means[c] + sum(coefficients[e] * x[:, None, p] for e, p in PREVIOUS[c])
        upper = np.where(k[:, c] == 255, np.inf, x[:, c] + 1 / 255)[:, None]
        lower = np.where(k[:, c] == 0, -np.inf, x[:, c] - 1 / 255)[:, None]
        z = logistic(loc=mean, scale=np.exp(log_scales[c]))
        # differences of the tail that is small, so that they keep their digits
        mass = np.where(lower > mean, z.sf(lower) - z.sf(upper), z.cdf(upper) - z.cdf(lower))
        log_p = log_p + np.log(mass)
    expected = np.logaddexp.reduce(log_p, axis=1).sum((1, 2))
    # Far in the tails the reference takes the density for the mass, up to 0.0025 nats a sub-pixel.
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-4)


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
def test_logistics_give_a_finite_gradient_at_extreme_parameters(value: int) -> None:
    likelihood, features = logistics(-2.0)
    images = torch.full((1, 3, 8, 8), value, dtype=torch.uint8)
    features = (features * 1e4).requires_grad_()
    likelihood.distortion_nats(features, images).sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()


def test_bernoulli_is_nats_per_image_over_the_scored_pixels() -> None:
    likelihood = Bernoulli(tiny_config(likelihood_size=6)).double()
    features = torch.randn(2, 8, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    images = torch.randint(0, 2, (2, 1, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        p = torch.sigmoid(likelihood.out_conv(features)).numpy()[:, :, 1:-1, 1:-1]
        found = likelihood.distortion_nats(features, images).numpy()
    b = images.numpy()[:, :, 1:-1, 1:-1]
    expected = -np.log(np.where(b == 1, p, 1 - p)).sum((1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-9)


GREY = {**RGB, "image_channels": 1}


def test_grey_likelihood_is_the_mixture_of_256_masses() -> None:
    """Every value of one pixel, against SciPy; the masses of all values sum to 1."""
    likelihood = DiscretisedLogistics(tiny_config(**GREY, num_mixtures=3)).double()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        likelihood.out_conv.weight.normal_(0, 0.2, generator=generator)
        likelihood.out_conv.bias.normal_(0, 0.5, generator=generator)
    features = torch.randn(1, 8, 8, 8, generator=generator, dtype=torch.float64)
    images = torch.randint(0, 256, (1, 1, 8, 8), generator=generator).repeat(256, 1, 1, 1)
    images[:, 0, 2, 5] = torch.arange(256)
    with torch.no_grad():
        found = -likelihood.distortion_nats(features.expand(256, -1, -1, -1), images)
        # 1x1 convolution: logits, means and log scales of 3 components each
        out = likelihood.out_conv(features)[0].numpy().reshape(3, 3, 8, 8)
    weights = np.exp(out[0]) / np.exp(out[0]).sum(axis=0)
    masses = sum(
        weights[m, :, :, None] * logistic_masses_at(out[1, m], np.exp(out[2, m])) for m in range(3)
    )  # [8, 8, 256]
    rows, columns = np.indices((8, 8))
    expected = np.log(masses[rows, columns, images[:, 0].numpy()]).sum((1, 2))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)
    others = expected - np.log(masses[2, 5])
    np.testing.assert_allclose(np.exp(found.numpy() - others).sum(), 1, rtol=1e-6)


def logistic_masses_at(means: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """P(k) [..., 256] of logistic variables, bins open at both ends; exact to machine precision."""
    edges = (np.arange(1, 256) - 128) / 127.5
    z = logistic(loc=means[..., None], scale=scales[..., None])
    zeros = np.zeros((*means.shape, 1))
    below = np.concatenate([zeros, z.cdf(edges), zeros + 1], axis=-1)
    above = np.concatenate([zeros + 1, z.sf(edges), zeros], axis=-1)
    return np.where(below[..., :-1] < 0.5, np.diff(below), -np.diff(above))


def test_grey_samples_follow_the_likelihood() -> None:
    likelihood = DiscretisedLogistics(tiny_config(**GREY, num_mixtures=2))
    means, log_scales = np.array([-0.9, 0.3]), np.array([-2.0, -4.0])
    with torch.no_grad():
        likelihood.out_conv.weight.zero_()
        out = [np.log(0.25), np.log(0.75), *means, *log_scales]
        likelihood.out_conv.bias.copy_(torch.tensor(out))
        drawn = likelihood.decode(torch.zeros(1, 8, 700, 700), [torch.Generator().manual_seed(0)])
    assert drawn.shape == (1, 1, 700, 700)
    pmf = np.array([0.25, 0.75]) @ logistic_masses_at(means, np.exp(log_scales))
    found = np.bincount(drawn.ravel(), minlength=256) / drawn.numel()
    assert np.abs(found - pmf).sum() / 2 < 0.01


def test_decoded_images_follow_the_distribution() -> None:
    """The mean of many draws is the mean of the clipped mixture, per channel."""
    likelihood, features = logistics(-3.0)
    many = features[:, :, :1, :1].expand(1, -1, 100, 100)
    with torch.no_grad():
        drawn = likelihood.decode(many, [torch.Generator().manual_seed(0)])
        logits, means, _, _ = likelihood._mixture(many[..., :1, :1])
    assert drawn.dtype == torch.uint8
    red = drawn[0, 0].double().mean() / 127.5 - 1
    expected = (logits.softmax(1)[0, :, 0, 0] * means[0, 0, :, 0, 0].clamp(-1, 1)).sum()
    assert abs(red - expected) < 0.03


def logistic_masses(centre: np.ndarray, scale: float) -> np.ndarray:
    """P(k) for k = 0 ... 255 [..., 256] of a logistic variable, bins open at both ends."""
    edges = (np.arange(1, 256) - 128) / 127.5  # (k - 1/2 - 127.5) / 127.5, between k - 1 and k
    below = logistic(loc=centre[..., None], scale=scale).cdf(edges)
    zeros, ones = np.zeros_like(below[..., :1]), np.ones_like(below[..., :1])
    return np.diff(np.concatenate([zeros, below, ones], axis=-1))


@pytest.mark.parametrize("centre", [(101.3, 140.2, 77.6), (1.2, 254.1, 0.3)])
@pytest.mark.parametrize("log_scale", [-5.0, -6.0, -7.0])
def test_samples_follow_the_likelihood_jointly_over_channels(
    log_scale: float, centre: tuple[float, float, float]
) -> None:
    """Green and blue given 8-bit red and green: the total variation between histograms and pmf."""
    tanh_inverse = np.arctanh((0.95, 0.95, -0.9))
    red, green, blue = ((np.array(centre) - 127.5) / 127.5).tolist()
    means = (red, green - 0.95 * red, blue - 0.95 * red + 0.9 * green)  # given the channels before
    likelihood = DiscretisedLogistics(tiny_config(**RGB, num_mixtures=1))
    with torch.no_grad():
        likelihood.out_conv.weight.zero_()
        out = [0.0]  # the logit; then mean, log scale and coefficient of each channel
        for mean, coefficient in zip(means, tanh_inverse, strict=True):
            out += [mean, log_scale, coefficient]
        likelihood.out_conv.bias.copy_(torch.tensor(out))
        generators = [torch.Generator().manual_seed(0)]
        drawn = likelihood.decode(torch.zeros(1, 8, 1000, 1000), generators)
    r, g, b = drawn[0].reshape(3, -1).long().numpy()

    levels, scale = (np.arange(256) - 127.5) / 127.5, np.exp(log_scale)
    of_red = logistic_masses(np.array(means[0]), scale)
    of_green = logistic_masses(means[1] + 0.95 * levels, scale)  # [red, green]
    red_green = of_red[:, None] * of_green
    red_blue, green_blue = np.zeros((2, 256, 256))
    for value in range(256):
        of_blue = logistic_masses(means[2] + 0.95 * levels[value] - 0.9 * levels, scale)
        joint = red_green[value][:, None] * of_blue  # [green, blue] for this red
        red_blue[value] = joint.sum(axis=0)
        green_blue += joint
    for first, second, pmf in [(r, g, red_green), (r, b, red_blue), (g, b, green_blue)]:
        found = np.bincount(first * 256 + second, minlength=256**2) / len(first)
        assert abs(pmf.sum() - 1) < 1e-9
        assert np.abs(found - pmf.ravel()).sum() / 2 < 0.006


def random_latent(seed: int) -> tuple[Latent, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shape = (2, 3, 4, 4)
    noise, qm, qs, pm, ps = (
        torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(5)
    )
    return Latent(qm + qs.exp() * noise, qm, qs, pm, ps), noise


def test_rate_and_log_ratio_equal_torch_distributions() -> None:
    latent, noise = random_latent(0)
    q = torch.distributions.Normal(latent.posterior_mean, latent.posterior_log_sigma.exp())
    p = torch.distributions.Normal(latent.prior_mean, latent.prior_log_sigma.exp())
    expected = torch.distributions.kl_divergence(q, p).sum((1, 2, 3))
    torch.testing.assert_close(latent.rate_nats(), expected)
    ratio = (p.log_prob(latent.z) - q.log_prob(latent.z)).sum((1, 2, 3))
    torch.testing.assert_close(latent.log_ratio_nats(noise), ratio)


@pytest.mark.parametrize("posterior", [-300.0, 0.0, 300.0])
@pytest.mark.parametrize("prior", [-300.0, 0.0, 300.0])
def test_rate_is_never_nan(posterior: float, prior: float) -> None:
    shape = (1, 1, 1, 1)
    zero = torch.zeros(shape)
    for difference in (0.0, 5.0):
        q_log_sigma = torch.full(shape, posterior, requires_grad=True)
        p_log_sigma = torch.full(shape, prior, requires_grad=True)
        latent = Latent(zero, zero + difference, q_log_sigma, zero, p_log_sigma)
        rate = latent.rate_nats()
        rate.sum().backward()
        assert rate.isfinite().all()
        assert q_log_sigma.grad is not None
        assert q_log_sigma.grad.isfinite().all()
