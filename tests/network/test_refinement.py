"""Trained blocks applied more or less often: each bound against one computed step by step."""

from itertools import pairwise

import pytest
import torch
from examples import example_model, random_images, tiny_model
from torch import Generator, Tensor

from model.config import ConfigError
from model.network.hvae import HVAE, HVAEOutput
from model.network.layout import parse, text
from model.network.pooling import embed, pool
from model.network.refinement import refined

IMAGES = random_images(3)


def bounds(model: HVAE) -> HVAEOutput:
    return model(IMAGES, noise(model))


def noise(model: HVAE) -> list[Tensor]:
    return model.draw_noise([Generator().manual_seed(image) for image in range(len(IMAGES))])


def by_hand(model: HVAE, repeats: int, eps: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Distortion, rate and the sigmas' part of it [B]: the formulas, without any shared work."""
    config = model.config
    x = model.bottom_up.in_conv((IMAGES.double() - 0.5) / 0.5)
    seen = {8: x}
    for block, up in zip(
        config.bottom_up, dict.fromkeys(model.bottom_up.applied_blocks), strict=True
    ):
        h = block.repeats / repeats if block.is_plain else 1.0
        for _ in range(repeats if block.is_plain else 1):
            x = x + h * up.residual(x)
        x = pool(x, block.down, "average") if block.down else x
        seen[x.shape[-1]] = x
    states = model.top_down.initial(len(IMAGES))
    rate, of_sigmas = torch.zeros(2, len(IMAGES), dtype=torch.float64)
    layers = iter(eps)
    for block, down in zip(
        config.top_down, dict.fromkeys(model.top_down.applied_blocks), strict=True
    ):
        h = block.repeats / repeats if block.is_plain else 1.0
        for _ in range(repeats if block.is_plain else 1):
            x = states[block.resolution]
            if block.mixin:
                x = x + embed(states[block.mixin], block.resolution // block.mixin, "average")
            q_mean, q_log_sigma = down.posterior(
                torch.cat([x, seen[block.resolution]], dim=1)
            ).chunk(2, dim=1)
            prior = down.prior(x)
            zdim, width = config.zdim, config.width
            p_mean, p_log_sigma, features = prior.split([zdim, zdim, width], dim=1)
            q_sigma, p_sigma = h**0.5 * q_log_sigma.exp(), h**0.5 * p_log_sigma.exp()
            z = h * q_mean + q_sigma * next(layers)
            variance = 0.5 * (q_sigma / p_sigma) ** 2 - 0.5 - (q_sigma / p_sigma).log()
            mean = 0.5 * h * ((q_mean - p_mean) / p_log_sigma.exp()) ** 2
            rate = rate + (mean + variance).sum((1, 2, 3))
            of_sigmas = of_sigmas + variance.sum((1, 2, 3))
            weight, bias = down.z_projection.weight, down.z_projection.bias
            x = x + h * features + torch.einsum("oi,bihw->bohw", weight[:, :, 0, 0], z)
            x = x + h * bias[:, None, None]
            states[block.resolution] = x + h * down.residual(x)
    features = model.top_down.features(states)
    return model.likelihood.distortion_nats(features, IMAGES), rate, of_sigmas


@pytest.mark.parametrize(
    ("differences", "repeats"),
    [
        ({"repeats": 3}, 1),
        ({"repeats": 3}, 2),
        ({"repeats": 3}, 6),
        ({}, 4),
        ({"blocks": 2}, 2),  # each of the two at half a step, twice
        ({"decoder": "1x1,4m1,4x2r3,8m4,8r2"}, 4),  # steps that differ
    ],
)
def test_a_bound_at_another_step_size_is_that_of_the_formulas(
    differences: dict[str, object], repeats: int
) -> None:
    model = example_model(**differences).double()
    finer = refined(model, repeats)
    assert finer.num_parameters == model.num_parameters
    found = bounds(finer)
    distortion, rate, of_sigmas = by_hand(model, repeats, noise(finer))
    torch.testing.assert_close(found.distortion_nats, distortion)
    torch.testing.assert_close(found.rate_nats, rate)
    torch.testing.assert_close(sum(x.rate_of_sigmas_nats() for x in found.latents), of_sigmas)
    assert (of_sigmas > 0).all()


@pytest.mark.parametrize("differences", [{"repeats": 3}, {"blocks": 2}, {"resolutions": "single"}])
def test_the_step_that_was_trained_gives_the_trained_bound_to_the_last_bit(
    differences: dict[str, object],
) -> None:
    model = example_model(**differences).double()
    expected, found = bounds(model), bounds(refined(model, model.config.repeats))
    assert torch.equal(found.nll_nats, expected.nll_nats)
    assert torch.equal(found.rate_per_layer_nats, expected.rate_per_layer_nats)


def test_a_prior_pass_takes_the_same_steps() -> None:
    finer = refined(example_model(repeats=3).double(), 6)
    block = finer.top_down.applied_blocks[-1]
    x, h = torch.randn(2, 8, 8, 8, generator=Generator().manual_seed(5)).double(), 0.5
    eps = torch.randn(2, 2, 8, 8, generator=Generator().manual_seed(6)).double()
    mean, log_sigma, features = block.prior(x).split([2, 2, 8], dim=1)
    z = h * mean + 0.7 * h**0.5 * log_sigma.exp() * eps
    weight, bias = block.z_projection.weight, block.z_projection.bias
    assert bias is not None
    after = x + h * (features + bias[:, None, None])
    after = after + torch.einsum("oi,bihw->bohw", weight[:, :, 0, 0], z)
    torch.testing.assert_close(block.generate(x, eps, 0.7), after + h * block.residual(after))


def test_the_trained_model_stays_as_it_is() -> None:
    model = example_model(repeats=3).double()
    before = bounds(model).nll_nats
    finer = refined(model, 6)
    with torch.no_grad():
        for parameter in finer.parameters():
            parameter.zero_()
    assert torch.equal(bounds(model).nll_nats, before)


def test_a_drift_alone_converges_as_the_steps_become_smaller() -> None:
    """Euler's method: with the noise off, half the step is about half the error."""
    model = example_model(repeats=2).double()
    with torch.no_grad():
        for block in model.top_down.applied_blocks:
            log_sigma = slice(block.zdim, None)
            block.posterior.conv4.weight[log_sigma] = 0
            block.posterior.conv4.bias[log_sigma] = -40

    def distortion(repeats: int) -> Tensor:
        return bounds(refined(model, repeats)).distortion_nats

    finest = distortion(256)
    errors = [(distortion(repeats) - finest).abs().max() for repeats in (8, 16, 32)]
    assert errors[0] > 1e-6
    for coarse, fine in pairwise(errors):
        assert 1.7 < coarse / fine < 2.6


@pytest.mark.parametrize(
    ("differences", "message"),
    [
        (
            {"residual_cells": False},
            "residual_cells: False leaves no step .* needs True",
        ),
        ({"cell": "markov"}, "cell: markov leaves no step .* needs vdvae"),
        ({"state_norm": "rms"}, "state_norm: rms leaves no step .* needs none"),
    ],
)
def test_what_has_no_step_size_is_refused(differences: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        refined(tiny_model(**differences), 2)


@pytest.mark.parametrize("layout", ["32x11,32d2,16x2r3,16m8,8r20", "1x1,4m1"])
def test_a_layout_is_read_back_as_it_is_written(layout: str) -> None:
    assert parse(text(parse(layout))) == parse(layout)
