"""Theorems 4 and 5: blocks as Euler steps, what their noise is, and the state at the start."""

import pytest
import torch
from examples import example_model, random_images, tiny_model
from torch import Tensor

from model.measurement.theory.increments import increment_rows, increments, initial_norms


@pytest.mark.parametrize(
    ("options", "are_euler_steps", "is_sum"),
    [
        ({}, True, True),
        ({"repeats": 3}, True, True),
        ({"cell": "nvae"}, True, True),
        ({"state_norm": "l2"}, True, False),
        ({"cell": "markov"}, False, False),
        ({"residual_cells": False}, False, False),
    ],
    ids=str,
)
def test_blocks_that_carry_the_state_on_are_two_euler_steps(
    options: dict[str, object], are_euler_steps: bool, is_sum: bool
) -> None:
    rows = list(increment_rows(example_model(**options), random_images(60), seed=0))
    assert [row["block"] for row in rows] == list(range(len(rows)))
    assert (max(row["euler_error"] for row in rows) < 1e-5) == are_euler_steps
    for row in rows:
        assert row["increment"] > 0
        assert (row["drift"] is not None) == (row["noise"] is not None) == is_sum
        assert row["num_images"] == 60
    if "repeats" in options:
        assert [row["repeat"] for row in rows] == [0, 1, 2, 0, 0, 1, 2, 0, 0, 1, 2]
        assert [row["num_repeats"] for row in rows] == [3, 3, 3, 1, 3, 3, 3, 1, 3, 3, 3]


def test_increments_are_those_of_the_blocks_outputs_and_the_noise_that_of_the_latent() -> None:
    model, images = example_model(), random_images(3)
    noise = model.draw_noise([torch.Generator().manual_seed(3)] * 3)
    found = increments(model, images, noise)
    passed: list[tuple[Tensor, Tensor]] = []
    hooks = [
        block.register_forward_hook(lambda _b, inputs, out: passed.append((inputs[0], out[0])))
        for block in model.top_down.applied_blocks
    ]
    latents = model(images, noise).latents
    for hook in hooks:
        hook.remove()
    blocks = model.top_down.applied_blocks
    for one, (x, after), latent, eps, block in zip(
        found, passed, latents, noise, blocks, strict=True
    ):
        weight = block.z_projection.weight[:, :, 0, 0]  # [width, zdim]
        projected = torch.einsum("wz,bzij->bwij", weight, latent.posterior_log_sigma.exp() * eps)
        step = after - x
        for norms, expected in [
            (one.increment, step),
            (one.noise, projected),
            (one.drift, step - projected),
        ]:
            torch.testing.assert_close(
                norms, expected.detach().double().square().sum((1, 2, 3)).sqrt(), rtol=1e-4, atol=0
            )


def test_noise_without_any_is_0_and_the_drift_is_all() -> None:
    model, images = example_model(), random_images(3)
    noise = [torch.zeros_like(eps) for eps in model.draw_noise([torch.Generator()] * 3)]
    for one in increments(model, images, noise):
        assert float(one.noise.max()) == 0
        assert torch.equal(one.drift, one.increment)


def test_initial_norms_are_those_of_the_learnt_states() -> None:
    model = tiny_model(no_bias_above=4)
    for state in model.top_down.initial_states:
        state.data.fill_(0.5)
    assert initial_norms(model) == {
        1: pytest.approx(0.5 * 8**0.5),
        4: pytest.approx(0.5 * (8 * 16) ** 0.5),
        8: 0.0,
    }
    assert set(initial_norms(tiny_model(no_bias_above=0)).values()) == {0.0}
    rows = increment_rows(model, random_images(3), seed=0)
    assert [row["initial_norm"] > 0 for row in rows] == [True, True, True, False, False]
