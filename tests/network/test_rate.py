"""The KL of a latent, and its gradients, far from where a float32 can compute them."""

import pytest
import torch
from torch import Tensor

from model.network.latent import Latent

NAMES = ("posterior_mean", "posterior_log_sigma", "prior_mean", "prior_log_sigma")


def rate_and_gradients(values: tuple[float, ...]) -> tuple[float, dict[str, float]]:
    """The rate of a latent with one element, float32, and its gradient in each parameter."""
    tensors = {
        name: torch.full((1, 1, 1, 1), value, requires_grad=True)
        for name, value in zip(NAMES, values, strict=True)
    }
    rate = Latent(z=torch.zeros(1, 1, 1, 1), **tensors).rate_nats()
    rate.sum().backward()
    return float(rate.detach()), {name: float(gradient(t)) for name, t in tensors.items()}


def gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


def exact(values: tuple[float, ...]) -> tuple[float, dict[str, float]]:
    """In float64, by the formula and by its derivatives on paper."""
    q_mean, q_log_sigma, p_mean, p_log_sigma = torch.tensor(values, dtype=torch.float64)
    ratio = (2 * (q_log_sigma - p_log_sigma)).exp()
    distance = (q_mean - p_mean) ** 2 * (-2 * p_log_sigma).exp()
    slope = (q_mean - p_mean) * (-2 * p_log_sigma).exp()
    rate = 0.5 * (ratio + distance) - 0.5 - (q_log_sigma - p_log_sigma)
    gradients = (slope, ratio - 1, -slope, 1 - ratio - distance)
    return float(rate), {n: float(g) for n, g in zip(NAMES, gradients, strict=True)}


@pytest.mark.parametrize(
    "values",
    [
        (0.3, -0.2, -0.1, 0.4),
        (2.0, 5.0, -1.0, 0.0),
        (0.0, -30.0, 1.0, 0.5),
        (1.0, 19.0, 0.0, -19.0),  # a log ratio of 38
        (1.0, -20.0, 0.5, -39.0),
    ],
)
def test_rate_and_gradients_are_exact_where_a_float32_holds_them(values: tuple[float, ...]) -> None:
    (rate, gradients), (wanted, wanted_gradients) = rate_and_gradients(values), exact(values)
    assert rate == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    assert gradients == pytest.approx(wanted_gradients, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("log_sigma", [41.0, 50.0, 88.0, 200.0])
def test_a_posterior_that_is_far_too_wide_is_pulled_back(log_sigma: float) -> None:
    rate, gradients = rate_and_gradients((0.0, log_sigma, 0.0, 0.0))
    assert torch.isfinite(torch.tensor([rate, *gradients.values()])).all()
    assert gradients["posterior_log_sigma"] > 0  # so that a step against it makes it narrower
    assert gradients["prior_log_sigma"] < 0
    wider, _ = rate_and_gradients((0.0, log_sigma + 1, 0.0, 0.0))
    assert wider > rate


@pytest.mark.parametrize("log_sigma", [-41.0, -60.0, -200.0])
def test_a_prior_that_is_far_too_narrow_is_widened(log_sigma: float) -> None:
    """With means apart: the distance's gradient must not be lost."""
    rate, gradients = rate_and_gradients((1.0, log_sigma, 0.0, log_sigma))
    assert torch.isfinite(torch.tensor([rate, *gradients.values()])).all()
    assert gradients["prior_log_sigma"] < 0
    assert gradients["posterior_mean"] > 0
    narrower, _ = rate_and_gradients((1.0, log_sigma - 1, 0.0, log_sigma - 1))
    assert narrower > rate


def test_the_rate_is_continuous_where_a_float32_ends() -> None:
    below, above = (rate_and_gradients((0.0, 40 + d, 0.0, 0.0))[0] for d in (-1e-4, 1e-4))
    assert above / below == pytest.approx(1.0, abs=1e-3)


def test_the_gradient_that_is_written_out_is_that_of_the_value() -> None:
    """In float64, on both sides of where an exponential is damped."""
    shape = (2, 2, 2, 2)
    generator = torch.Generator().manual_seed(0)
    q_mean, p_mean = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    q_log_sigma, p_log_sigma = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    for shift in (0.0, 45.0):  # of both: a precision of e^90
        values = [q_mean, q_log_sigma - shift, p_mean, p_log_sigma - shift]
        weights = [3.0, -0.5]
        assert gradients_agree(values, torch.tensor(weights, dtype=torch.float64))
    assert gradients_agree([q_mean, q_log_sigma + 45, p_mean, p_log_sigma], torch.ones(2).double())


def gradients_agree(values: list[Tensor], weights: Tensor) -> bool:
    """Whether the gradients of weighted rates are those of the formula, recorded by autograd."""
    found = [value.clone().requires_grad_() for value in values]
    (Latent(values[0], *found).rate_nats() * weights).sum().backward()
    recorded = [value.clone().requires_grad_() for value in values]
    (plain_rate(*recorded) * weights).sum().backward()
    return all(
        torch.allclose(gradient(ours), gradient(theirs), rtol=1e-12)
        for ours, theirs in zip(found, recorded, strict=True)
    )


def plain_rate(q_mean: Tensor, q_log_sigma: Tensor, p_mean: Tensor, p_log_sigma: Tensor) -> Tensor:
    def continued_exp(x: Tensor) -> Tensor:
        return x.clamp(max=80).exp() * (2 - 1 / (1 + (x - 80).clamp(min=0)))

    log_ratio = q_log_sigma - p_log_sigma
    distance = (q_mean - p_mean).square() * continued_exp(-2 * p_log_sigma)
    return (0.5 * (continued_exp(2 * log_ratio) + distance - 1) - log_ratio).sum((1, 2, 3))
