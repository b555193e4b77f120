"""Norms of the state: against a pass written out by hand, repeats counted, zero states masked."""

import numpy as np
import pytest
import torch
from examples import example_model, random_images, tiny_model
from torch import Tensor

from model.measurement.block_norms import block_norms, block_rows
from model.network.hvae import HVAE
from model.randomness import Purpose, image_generators


def norm(x: Tensor) -> np.ndarray:
    values = x.detach().numpy().astype(float)
    return np.array([np.sqrt((image**2).sum()) for image in values])


def states_by_hand(model: HVAE, images: Tensor, noise: list[Tensor]) -> dict[str, np.ndarray]:
    """The posterior pass of encoder 8x1,8d2,4x1,4d4,1x1 and decoder 1x1,4m1,4x1,8m4,8x1, twice
    where a block is plain; norms [N, applications]."""
    found: dict[str, list[np.ndarray]] = {
        name: [] for name in ("up", "in", "prior", "latent", "out")
    }
    x = model.bottom_up.in_conv((images.float() - 0.5) / 0.5)
    activations = {}
    factors = [None, 2, None, 4, None]
    for block, factor, times in zip(model.bottom_up.blocks, factors, [2, 1, 2, 1, 2], strict=True):
        for _ in range(times):
            x = x + block.residual(x)
            if factor is not None:
                n, c, h, w = x.shape
                x = x.reshape(n, c, h // factor, factor, w // factor, factor).mean((3, 5))
            activations[x.shape[-1]] = x
            found["up"].append(norm(x))
    states = {
        state.shape[-1]: state.expand(len(images), -1, -1, -1)
        for state in model.top_down.initial_states
    }
    draws = iter(noise)
    resolutions, mixins = [1, 4, 4, 8, 8], [None, 1, None, 4, None]
    for block, resolution, mixin, times in zip(
        model.top_down.blocks, resolutions, mixins, [2, 1, 2, 1, 2], strict=True
    ):
        for _ in range(times):
            x = states[resolution]
            if mixin is not None:
                factor = resolution // mixin
                x = x + states[mixin].repeat_interleave(factor, 2).repeat_interleave(factor, 3)
            found["in"].append(norm(x))
            mean, log_sigma = block.posterior(torch.cat([x, activations[resolution]], 1)).chunk(
                2, 1
            )
            features = block.prior(x)[:, 2 * 2 :]  # zdim is 2
            projected = block.z_projection(mean + log_sigma.exp() * next(draws))
            found["prior"].append(norm(features))
            found["latent"].append(norm(features + projected))
            x = x + features + projected
            states[resolution] = x + block.residual(x)
            found["out"].append(norm(states[resolution]))
    return {name: np.stack(norms, axis=1) for name, norms in found.items()}


def test_norms_equal_those_of_a_pass_by_hand() -> None:
    model = example_model(repeats=2)
    images = random_images(5)
    noise = model.draw_noise([torch.Generator().manual_seed(3)] * 5)
    found = block_norms(model, images, noise)
    by_hand = states_by_hand(model, images, noise)
    np.testing.assert_allclose(found.bottom_up.state_out, by_hand["up"], rtol=1e-5)
    np.testing.assert_allclose(found.bottom_up.state_in[:, 1:], by_hand["up"][:, :-1], rtol=1e-5)
    np.testing.assert_allclose(found.top_down.state_in, by_hand["in"], rtol=1e-5)
    np.testing.assert_allclose(found.top_down.state_out, by_hand["out"], rtol=1e-5)
    np.testing.assert_allclose(found.prior_step, by_hand["prior"], rtol=1e-5)
    np.testing.assert_allclose(found.latent_step, by_hand["latent"], rtol=1e-5)


def test_rows_are_means_over_images_and_deviations_over_batches() -> None:
    model = example_model(repeats=2)
    images = random_images(230)  # two whole batches; the last 30 images are in none
    rows = block_rows(model, images, seed=7)
    by_hand = []
    for index in range(2):
        indices = range(100 * index, 100 * index + 100)
        noise = model.draw_noise(image_generators(7, Purpose.TEST_NOISE, 0, images=indices))
        with torch.no_grad():
            by_hand.append(states_by_hand(model, images[100 * index : 100 * index + 100], noise))
    whole = {name: np.concatenate([b[name] for b in by_hand]) for name in by_hand[0]}
    down = [row for row in rows if row["tower"] == "top-down"]
    assert [row["block"] for row in down] == list(range(8))
    assert [row["resolution"] for row in down] == [1, 1, 4, 4, 4, 8, 8, 8]
    assert [row["repeat"] for row in down] == [0, 1, 0, 0, 1, 0, 0, 1]
    for block, row in enumerate(down):
        assert (row["num_images"], row["num_batches"], row["num_masked"]) == (200, 2, 0)
        assert row["norm"] == pytest.approx(whole["out"][:, block].mean(), rel=1e-5)
        assert row["norm_in"] == pytest.approx(whole["in"][:, block].mean(), rel=1e-5)
        deviation = whole["out"][:, block].std(ddof=1)
        assert row["norm_standard_deviation"] == pytest.approx(deviation, rel=1e-4)
        first, second = (b["out"][:, block].mean() for b in by_hand)
        expected = abs(first - second) / 2**0.5
        assert row["norm_batch_standard_deviation"] == pytest.approx(expected, rel=1e-2)
        for name in ("prior", "latent"):
            error = whole[name][:, block] / whole["in"][:, block]
            assert row[f"backward_error_{name}"] == pytest.approx(error.mean(), rel=1e-4)
    up = [row for row in rows if row["tower"] == "bottom-up"]
    # The state after a block that pools has the coarser resolution.
    assert [row["resolution"] for row in up] == [8, 8, 4, 4, 4, 1, 1, 1]
    np.testing.assert_allclose([r["norm"] for r in up], whole["up"].mean(axis=0), rtol=1e-5)
    assert {row["backward_error_prior"] for row in up} == {None}
    assert {row["num_masked"] for row in up} == {None}


def test_a_single_batch_has_no_deviation_over_batches() -> None:
    rows = block_rows(example_model(), random_images(30), seed=0)
    assert {row["num_images"] for row in rows} == {30}
    assert np.isnan([row["norm_batch_standard_deviation"] for row in rows]).all()
    assert np.isfinite([row["norm_standard_deviation"] for row in rows]).all()


def test_probing_changes_no_number_and_leaves_no_hook() -> None:
    model = example_model()
    images = random_images(3)
    noise = model.draw_noise([torch.Generator().manual_seed(3)] * 3)
    before = model(images, noise).nll_nats
    block_norms(model, images, noise)
    with pytest.raises(ValueError, match="zip"):
        block_norms(model, images, noise[:-1])  # a pass that fails half-way
    assert torch.equal(model(images, noise).nll_nats, before)
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_steps_from_a_zero_state_are_masked_and_counted() -> None:
    """A fresh model's initial state is 0, so the first block's relative error means nothing."""
    model = tiny_model()
    down = block_rows(model, random_images(40), seed=0)[5:]
    assert [row["num_masked"] for row in down] == [40, 0, 0, 0, 0]
    assert down[0]["norm_in"] == 0
    assert down[0]["backward_error_prior"] is None
    assert down[0]["backward_error_latent"] is None
    assert all(np.isfinite(row["backward_error_latent"]) for row in down[1:])


def test_masked_images_are_in_no_mean() -> None:
    """Black images keep a zero state, others do not; the errors are those of the others alone."""
    model = tiny_model(pixel_mean=0.0)
    with torch.no_grad():
        for block in model.top_down.blocks:
            block.posterior.conv4.bias[2:] = -200.0  # log sigma: the noise has no effect
    images = random_images(100)
    images[::4] = 0
    mixed, others = (
        block_rows(model, images, 0)[5:],
        block_rows(model, images[images.sum((1, 2, 3)) > 0], 0)[5:],
    )
    assert [row["num_masked"] for row in mixed] == [100, 25, 25, 25, 25]
    assert [row["num_masked"] for row in others] == [75, 0, 0, 0, 0]
    for row, expected in zip(mixed[1:], others[1:], strict=True):
        assert expected["backward_error_latent"] > 0
        assert row["backward_error_latent"] == pytest.approx(expected["backward_error_latent"])


def test_a_state_that_is_not_finite_shows() -> None:
    model = example_model()
    with torch.no_grad():
        model.top_down.blocks[0].residual.conv4.bias.fill_(float("nan"))
    down = block_rows(model, random_images(10), seed=0)[5:]
    assert np.isnan(down[0]["norm"])
    assert down[1]["num_masked"] == 0
    assert np.isnan(down[1]["backward_error_prior"])


@pytest.mark.parametrize("cell", ["nvae", "markov"])
def test_a_cell_without_a_prior_step_has_no_norm_of_one(cell: str) -> None:
    model, images = example_model(cell=cell), random_images(3)
    noise = model.draw_noise([torch.Generator().manual_seed(3)] * 3)
    projected: list[np.ndarray] = []
    hooks = [
        block.z_projection.register_forward_hook(lambda _m, _i, out: projected.append(norm(out)))
        for block in model.top_down.applied_blocks
    ]
    model(images, noise)
    for hook in hooks:
        hook.remove()
    norms = block_norms(model, images, noise)
    assert norms.prior_step.abs().max() == 0
    np.testing.assert_allclose(norms.latent_step.numpy(), np.stack(projected, axis=1), rtol=1e-6)
