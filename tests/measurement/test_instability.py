"""Sample and test statistics: energies against NumPy, distances against SciPy, shared noise."""

import numpy as np
import pytest
import torch
from examples import tiny_config, tiny_model, tiny_run
from scipy.stats import wasserstein_distance
from torch import Tensor

from model.config import ConfigError, ProbeConfig
from model.measurement.instability import (
    energy_per_resolution,
    histogram,
    histogram_distance,
    statistics,
    temperature_rows,
)
from model.measurement.samples import sample_images
from model.network.hvae import HVAE
from model.network.likelihood import covered_pixels

TEMPERATURES = (0.3, 1.0)


def random_images(count: int, channels: int, size: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    shape = (count, channels, size, size)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=random)


def example_model() -> HVAE:
    model = tiny_model()
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random))
    return model


def projected(images: np.ndarray, size: int) -> np.ndarray:
    """P x: each of size x size squares replaced by its mean, at the full resolution."""
    n, c, full, _ = images.shape
    squares = images.reshape(n, c, size, full // size, size, full // size).mean((3, 5))
    return np.kron(squares, np.ones((full // size, full // size)))


def test_energies_are_those_of_the_differences_of_projections() -> None:
    images = random_images(4, 3, 16).double() / 255
    values = images.numpy()
    energies = energy_per_resolution(images)
    assert list(energies) == [16, 8, 4, 2, 1]
    for resolution in (16, 8, 4, 2):
        detail = projected(values, resolution) - projected(values, resolution // 2)
        np.testing.assert_allclose(energies[resolution], (detail**2).mean((1, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(energies[1], (values.mean((2, 3)) ** 2).mean(1), rtol=1e-12)


@pytest.mark.parametrize("size", [8, 28, 32])
def test_energies_add_up_to_the_mean_square(size: int) -> None:
    images = random_images(3, 1, size).double()
    energies = energy_per_resolution(images)
    total = torch.stack(list(energies.values())).sum(0)
    torch.testing.assert_close(total, images.square().mean((1, 2, 3)))
    assert min(energies) == (7 if size == 28 else 1)  # 28 -> 14 -> 7, which is odd


def test_a_pattern_has_its_energy_at_its_own_resolution() -> None:
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    for width, resolution in [(1, 8), (2, 4), (4, 2)]:
        board = ((rows // width + columns // width) % 2).double() * 2 - 1
        energies = energy_per_resolution(board[None, None])
        assert {r: float(e) for r, e in energies.items() if e > 1e-12} == {resolution: 1.0}


def test_histogram_distance_is_wasserstein_1_in_grey_levels() -> None:
    first, second = random_images(5, 3, 8, seed=0) // 2, random_images(7, 3, 8, seed=1)
    expected = np.mean(
        [wasserstein_distance(first[:, c].ravel(), second[:, c].ravel()) for c in range(3)]
    )
    assert histogram_distance(histogram(first), histogram(second)) == pytest.approx(expected)
    shifted = histogram_distance(histogram(first), histogram(first + 10))
    assert shifted == pytest.approx(10)


def test_uncovered_pixels_have_no_effect() -> None:
    config = tiny_config(likelihood_size=4)
    images = random_images(6, 1, 8) % 2
    noisy = images.clone()
    noisy[..., :2, :] = 1 - noisy[..., :2, :]
    noisy[..., :, 6:] = 1 - noisy[..., :, 6:]
    assert torch.equal(covered_pixels(noisy, config), images[..., 2:6, 2:6])
    one, other = statistics(images, config), statistics(noisy, config)
    assert torch.equal(one.histogram, other.histogram)
    assert list(one.energies) == [8, 4, 2, 1]  # the model's resolutions, not those of the part
    assert all(torch.equal(one.energies[r], other.energies[r]) for r in one.energies)
    assert float(statistics(images, tiny_config()).histogram[0, 255]) == images.double().mean()


def test_samples_share_their_noise_between_temperatures_and_not_between_batches() -> None:
    model = example_model()
    both = sample_images(model, TEMPERATURES, 150, seed=3)
    assert both.shape == (2, 150, 1, 8, 8)
    alone = sample_images(model, (1.0,), 150, seed=3)
    assert torch.equal(both[1], alone[0])
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(both[:, :50], both[:, 100:])
    # The same noise at either temperature: images differ less than two draws do.
    difference = (both[0].double() - both[1].double()).abs().mean()
    shuffled = (both[0].double() - both[1].roll(1, 0).double()).abs().mean()
    assert difference < shuffled


def test_rows_of_binary_images_follow_from_their_white_pixels() -> None:
    """Binary x: sum of energies = mean of x^2 = share of white; the histogram has nothing else."""
    run = tiny_run()
    test_images = random_images(40, 1, 8) % 2
    test_images[:20] = 0
    samples = sample_images(example_model(), TEMPERATURES, 150, seed=3)
    rows = temperature_rows(TEMPERATURES, samples, test_images, run)
    assert [(r["temperature"], r["resolution"]) for r in rows] == [
        (t, r) for t in TEMPERATURES for r in (1, 2, 4, 8)
    ]
    for index, temperature in enumerate(TEMPERATURES):
        of_temperature = [row for row in rows if row["temperature"] == temperature]
        white = sum(row["energy_samples"] for row in of_temperature)
        white_test = sum(row["energy_test"] for row in of_temperature)
        assert white_test == pytest.approx(float(test_images.double().mean()))
        # Pixels are drawn with the probabilities that the samples are.
        pixels = 150 * 64
        expected = float(samples[index].double().mean()) / 255
        assert white == pytest.approx(expected, abs=2 / pixels**0.5)
        for row in of_temperature:
            assert row["histogram_distance"] == pytest.approx(255 * abs(white - white_test))
            assert (row["num_samples"], row["num_images"]) == (150, 40)


def test_identical_images_have_equal_statistics() -> None:
    run = tiny_run()
    images = random_images(30, 1, 8) % 2
    for row in temperature_rows((1.0,), 255 * images[None], images, run):
        assert row["energy_samples"] == row["energy_test"]
        assert row["histogram_distance"] == 0


@pytest.mark.parametrize(
    ("num_samples", "temperatures", "message"),
    [
        (1, (1.0,), "num_samples: must be at least 2"),
        (10, (), "temperatures: must be one number or more, ascending, not none"),
        (10, (0.0, 1.0), "temperatures: .*0.0"),
        (10, (1.0, 0.5), "not 1.0, 0.5"),
        (10, (0.5, 0.5), "not 0.5, 0.5"),
    ],
)
def test_a_mistake_in_the_probe_is_named(
    num_samples: int, temperatures: tuple[float, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        ProbeConfig(num_samples=num_samples, temperatures=temperatures)
