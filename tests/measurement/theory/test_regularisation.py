"""Theorem 3: what is provable, both brackets, and models that are broken on purpose."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from examples import example_model, random_images, tiny_config, tiny_run
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from model.data.batches import held_out_images
from model.measurement.theory import bottleneck
from model.measurement.theory.bottleneck import coarse_reconstructions
from model.measurement.theory.conjugacy import detail, energy
from model.measurement.theory.lipschitz import (
    GELU_SLOPE,
    before_pooling,
    convolution_norm,
    jacobian_norms,
    lipschitz_lower,
    lipschitz_upper,
)
from model.measurement.theory.regularisation import (
    detail_energies,
    energy_bound,
    normalised,
    regularisation_rows,
)
from model.measurement.theory.transport import gelbrich, transport_cost
from model.measurement.theory.verdict import Bracket, Verdict, at_most, discarded
from model.network.hvae import HVAE
from model.network.pooling import embed, pool


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assigned(first: Tensor, second: Tensor) -> float:
    """The squared distance itself: between sets, an optimal coupling is an assignment."""
    differences = (first[:, None] - second[None]).flatten(2)  # [N, N, C H W]
    costs = differences.square().mean(2).numpy()
    return float(costs[linear_sum_assignment(costs)].mean())


# What is provable.


def test_no_measure_on_a_coarser_space_is_nearer_than_the_energy_above(data_dir: Path) -> None:
    """200 digits: equality for the pooled ones, by an exact assignment; more for any others."""
    run = tiny_run()
    x = normalised(held_out_images(data_dir, run, "test")[:200], run.model)
    others = [x.roll(1, 0) * 0.7, x.flip(0) + 0.3 * random(*x.shape)]
    for factor in (2, 4, 8):
        above = float(energy(detail(x, factor, "average")).mean())
        on_coarse = embed(pool(x, factor), factor)
        assert assigned(on_coarse, x) == pytest.approx(above, rel=1e-9)
        assert gelbrich(on_coarse, x) == pytest.approx(above, rel=1e-9)
        for other in others:
            on_coarse = embed(pool(other, factor), factor)
            assert assigned(on_coarse, x) > above
            bound = energy_bound(x, other, factor, "average")
            assert above * (1 - 1e-9) <= bound.pooled_others <= assigned(on_coarse, x) + 1e-12
            assert bound.energy_above == above
            assert bound.pooled_images == pytest.approx(above, rel=1e-9)
            assert bound.pooled_images_paired == pytest.approx(above, rel=1e-9)


# The right side.


def test_gelbrichs_bound_is_that_of_the_covariances() -> None:
    first, second = random(300, 1, 3, 2), 2 * random(300, 1, 3, 2, seed=1) ** 2
    x, y = (images.flatten(1).numpy() / 6**0.5 for images in (first, second))
    a, b = (np.cov(values.T, ddof=0) for values in (x, y))
    root = sqrtm(a)
    common = np.trace(sqrtm(root @ b @ root).real)
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a) + np.trace(b) - 2 * common
    assert gelbrich(first, second) == pytest.approx(expected)
    # Of more pixels than images, too.
    assert gelbrich(random(5, 1, 8, 8), random(5, 1, 8, 8)) == pytest.approx(0, abs=1e-12)


def test_the_costs_are_in_order_and_know_a_shift_and_a_permutation() -> None:
    x = random(40, 1, 4, 4)
    shifted = x.roll(3, 0) + 0.5
    cost = transport_cost(x, shifted)
    assert cost.lower == pytest.approx(0.25)
    assert assigned(x, shifted) == pytest.approx(0.25)  # a shift is transported by itself
    assert cost.paired > 1
    assert transport_cost(x, x + 0.5).paired == pytest.approx(0.25)
    other = random(40, 1, 4, 4, seed=1)
    cost = transport_cost(x, other)
    assert cost.lower < assigned(x, other) < cost.paired


# The left side.


def test_a_convolutions_norm_is_above_that_of_its_matrix_and_near_it() -> None:
    weight = random(3, 2, 3, 3)
    basis = torch.eye(2 * 16 * 16, dtype=torch.float64).reshape(-1, 2, 16, 16)
    matrix = torch.nn.functional.conv2d(basis, weight, padding=1).flatten(1)
    exact = float(torch.linalg.matrix_norm(matrix, ord=2))
    assert exact <= convolution_norm(weight) <= 1.1 * exact
    single = random(3, 2, 1, 1)
    exact = float(torch.linalg.matrix_norm(single[..., 0, 0], ord=2))
    assert convolution_norm(single) == pytest.approx(exact)


def test_the_largest_slope_of_gelu() -> None:
    x = torch.linspace(-8, 8, 100_001, dtype=torch.float64, requires_grad=True)
    torch.nn.functional.gelu(x).sum().backward()
    assert x.grad is not None
    assert float(x.grad.max()) == pytest.approx(GELU_SLOPE, abs=1e-8)
    assert float(x.grad.max()) <= GELU_SLOPE


def test_a_jacobians_norm_is_its_largest_singular_value() -> None:
    model, images = example_model().double(), normalised(random_images(3), tiny_config())

    def function(x: Tensor) -> Tensor:
        return next(before_pooling(model.bottom_up, model.config, x))

    norms = jacobian_norms(function, images)
    for image, norm in zip(images, norms, strict=True):
        jacobian = torch.autograd.functional.jacobian(function, image[None])
        matrix = jacobian.reshape(8 * 64, 64) / 8**0.5  # means over 8 channels, and over 1
        exact = float(torch.linalg.matrix_norm(matrix, ord=2))
        assert 0.9 * exact <= float(norm) <= exact * (1 + 1e-9)


OPTIONS: list[dict[str, object]] = [
    {},
    {"repeats": 2},
    {"residual_cells": False},
    {"pooling": "db2"},
    {"state_norm": "l2"},
    {"state_norm": "rms"},
    {"fourier": "position", "fourier_exponents": (0, 1)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_lipschitz_constants_are_bracketed(options: dict[str, object]) -> None:
    """Differences of images, which neither bound is made of, lie below the upper one."""
    model = example_model(**options)
    config, x = model.config, normalised(random_images(12), model.config).float()
    lower = lipschitz_lower(model.bottom_up, config, x)
    upper = lipschitz_upper(model.bottom_up, config)
    with torch.no_grad():
        activations = list(before_pooling(model.bottom_up, config, x))
    assert len(lower) == len(upper) == len(activations) == 2
    distances = energy(x - x.roll(1, 0))
    for below, above, h in zip(lower, upper, activations, strict=True):
        ratio = (energy(h - h.roll(1, 0)) / distances).sqrt().max()
        assert 0 < below <= above
        assert float(ratio) <= above


def test_fourier_features_of_values_enter_the_constants() -> None:
    options = {
        "fourier": "value",
        "fourier_exponents": (5, 6),
        "likelihood": "discretised_logistics",
    }
    model = example_model(**options, pixel_mean=120.0, pixel_std=64.0)
    pixels = torch.randint(0, 256, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    x = normalised(pixels, model.config).float()
    plain = example_model(**{**options, "fourier": "none"}, pixel_mean=120.0, pixel_std=64.0)
    with_features = lipschitz_lower(model.bottom_up, model.config, x)
    without = lipschitz_lower(plain.bottom_up, plain.config, x)
    assert with_features[0] > 10 * without[0]  # they turn many times over the range of a pixel
    for below, above in zip(
        with_features, lipschitz_upper(model.bottom_up, model.config), strict=True
    ):
        assert below <= above


def test_activations_are_those_before_the_pooling() -> None:
    model, images = example_model(), random_images(3)
    pooled: list[Tensor] = []
    blocks = [b for b in model.bottom_up.applied_blocks if b.down is not None]
    hooks = [b.register_forward_hook(lambda _b, _i, out: pooled.append(out)) for b in blocks]
    model.encode(images)
    for hook in hooks:
        hook.remove()
    x = normalised(images, model.config).float()
    activations = before_pooling(model.bottom_up, model.config, x)
    for h, factor, expected in zip(activations, (2, 4), pooled, strict=True):
        torch.testing.assert_close(pool(h, factor), expected)


# Both sides, and models that are broken on purpose.


@dataclass(frozen=True)
class LinearBridge:
    """A U-Net on 8x8 images whose forward pass is a factor and which pools once, by 2."""

    factor: float
    reconstructed: Tensor

    def verdict(self, x: Tensor, distance: Bracket | None = None) -> Verdict:
        """By the brackets that are measured, or by a distance that is known."""
        slope = abs(self.factor)
        taken_away = float(energy(detail(self.factor * x, 2, "average")).mean())
        cost = transport_cost(x, self.reconstructed)
        left = discarded(taken_away, Bracket(slope, slope))
        return at_most(left, distance or Bracket(cost.lower, cost.paired))


def data_with_detail(coarse: Tensor, sign: Tensor | float = 1.0) -> Tensor:
    """Images whose detail is 2 x coarse in a chess board's pattern."""
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    board = ((rows + columns) % 2 * 2 - 1).double()
    return embed(coarse, 2) + sign * 2 * embed(coarse, 2) * board


def test_a_detail_that_the_bottleneck_knows_violates_the_inequality() -> None:
    """Detail = 2 x coarse: it is put back without an error, however large it is."""
    x = data_with_detail(random(100, 1, 4, 4))
    assert float(energy(detail(x, 2, "average")).mean()) > 1
    assert LinearBridge(1.0, data_with_detail(pool(x, 2))).verdict(x) == "violated"
    # That the bottleneck leaves the detail out is what the theorem is about.
    assert LinearBridge(1.0, embed(pool(x, 2), 2)).verdict(x) == "consistent"


def test_an_identity_with_resampled_detail_violates_it() -> None:
    """All combinations of 12 coarse images and 12 details: resampling the detail keeps the law."""
    coarse, details = random(12, 1, 4, 4), detail(random(12, 1, 8, 8, seed=1), 2, "average")
    x = (embed(coarse, 2)[:, None] + details[None]).flatten(0, 1)
    resampled = embed(pool(x, 2), 2) + detail(x, 2, "average").reshape(12, 12, 1, 8, 8).roll(
        1, 1
    ).flatten(0, 1)
    distance = assigned(x, resampled)
    assert distance == pytest.approx(0, abs=1e-12)
    bridge = LinearBridge(1.0, resampled)
    assert bridge.verdict(x, Bracket(0.0, distance)) == "violated"
    # The reconstruction error alone does not see it: twice the detail is wrong in each image.
    assert transport_cost(x, resampled).paired > 1
    assert bridge.verdict(x) == "inconclusive"


@pytest.mark.parametrize("factor", [0.01, 1.0, 100.0])
def test_a_scaled_state_changes_no_verdict(factor: float) -> None:
    """The detail that is discarded and the Lipschitz constant scale alike."""
    x = data_with_detail(random(100, 1, 4, 4))
    assert LinearBridge(factor, x).verdict(x) == "violated"
    assert LinearBridge(factor, embed(pool(x, 2), 2)).verdict(x) == "consistent"


def test_a_scaled_first_layer_of_a_model_scales_detail_and_constant() -> None:
    model, x = example_model(encoder="8d2,4x1,4d4,1x1"), normalised(random_images(8), tiny_config())
    for parameter in model.bottom_up.blocks[0].residual.parameters():
        parameter.data.zero_()  # linear up to the first pooling
    model.bottom_up.in_conv.bias.data.zero_()

    def left(model: HVAE) -> tuple[float, float, float]:
        of_first = (
            detail_energies(model, x.float())[0],
            lipschitz_lower(model.bottom_up, model.config, x.float())[0],
            lipschitz_upper(model.bottom_up, model.config)[0],
        )
        return of_first

    energy_before, *before = left(model)
    model.bottom_up.in_conv.weight.data *= 10
    energy_after, *after = left(model)
    assert energy_after == pytest.approx(100 * energy_before, rel=1e-5)
    assert after == pytest.approx([10 * b for b in before], rel=1e-5)


def test_shuffled_reconstructions_hide_a_violation_and_give_no_other_verdict() -> None:
    """The law is the same, the pairs are not: what pairs decided is left open, or assigned."""
    x = data_with_detail(random(40, 1, 4, 4))
    exact = LinearBridge(1.0, x.roll(1, 0))
    assert LinearBridge(1.0, x).verdict(x) == "violated"
    assert exact.verdict(x) == "inconclusive"
    assert exact.verdict(x, Bracket(0.0, assigned(x, exact.reconstructed))) == "violated"
    coarse = embed(pool(x, 2), 2)
    assert LinearBridge(1.0, coarse.roll(1, 0)).verdict(x) == "consistent"


def test_shuffled_skips_change_the_pairs_and_not_the_distance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The law of reconstructions is the same when each is of another image."""
    model, images = example_model(), random_images(30)
    whole = regularisation_rows(model, images, seed=0)[0]

    def shuffled(*arguments: object) -> Tensor:
        return coarse_reconstructions(*arguments).roll(1, 0)  # type: ignore[arg-type]

    monkeypatch.setattr(bottleneck, "coarse_reconstructions", shuffled)
    broken = regularisation_rows(model, images, seed=0)[0]
    for name in ("distance_lower", "detail_energy", "lipschitz_lower", "lipschitz_upper"):
        assert broken[name] == pytest.approx(whole[name], rel=1e-9)
    assert broken["distance_paired"] != whole["distance_paired"]


def test_latents_are_the_posteriors_up_to_a_resolution_and_the_priors_means_above() -> None:
    model, images = example_model(), random_images(3)
    noise = model.draw_noise([torch.Generator().manual_seed(3)] * 3)
    seen = model.encode(images)

    def made(resolution: int) -> Tensor:
        return coarse_reconstructions(model, seen, noise, resolution, [])

    with torch.inference_mode():
        features, _ = model.top_down(seen, noise)
        assert torch.equal(made(8), model.likelihood.decode(features, []))
        zero = [torch.zeros_like(eps) for eps in noise]
        features = model.top_down.generate(zero, temperature=1.0)
        assert torch.equal(made(0), model.likelihood.decode(features, []))
    # Above 1x1 neither the image nor the noise has any part.
    other = [noise[0], *(torch.ones_like(eps) for eps in noise[1:])]
    assert torch.equal(made(1), coarse_reconstructions(model, seen, other, 1, []))
    assert not torch.equal(made(4), coarse_reconstructions(model, seen, other, 4, []))


def test_rows_of_a_model(data_dir: Path) -> None:
    run, model = tiny_run(), example_model()
    images = held_out_images(data_dir, run, "test")[:60]
    rows = regularisation_rows(model, images, seed=0)
    assert [(row["resolution"], row["factor"]) for row in rows] == [(8, 2), (4, 4)]
    for row, factor in zip(rows, (2, 8), strict=True):
        x = normalised(images, run.model)
        assert row["energy_above"] == float(energy(detail(x, factor, "average")).mean())
        assert row["distance_pooled_reconstructions"] >= row["energy_above"]
        assert row["distance_lower"] <= row["distance_paired"]
        assert row["num_images"] == 60
        assert row["num_jacobians"] == 16
    again = regularisation_rows(model, images, seed=0)
    assert again == rows
    single = example_model(resolutions="single")
    assert regularisation_rows(single, images, seed=0) == []


def test_pixels_that_are_not_scored_have_no_part() -> None:
    config = tiny_config(likelihood_size=4)
    x = normalised(random_images(5), config)
    assert bool((x[..., :2, :] == -1).all())
    assert torch.equal(x[..., 2:6, 2:6], 2 * random_images(5)[..., 2:6, 2:6].double() - 1)
