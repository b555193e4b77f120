"""Theorem 2 against PyWavelets: what pooling is conjugate to, and what it is not."""

from pathlib import Path

import numpy as np
import pytest
import pywt
import torch
from examples import MULTIPLE_32, tiny_config, tiny_run
from torch import Tensor

from model.data.batches import held_out_images
from model.measurement.theory.conjugacy import (
    as_seen,
    conjugacy_error,
    conjugacy_rows,
    energy_sum_error,
)
from model.measurement.theory.wavelet_basis import analysis, change_basis
from model.network.pooling import pool

SIZES = (2, 4, 8, 16, 32, 64)
OTHERS = ("db2", "db3", "sym4", "coif1")


def images(size: int) -> Tensor:
    shape = (20, 3, size, size)
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("size", SIZES)
def test_pooling_is_the_haar_projection(size: int) -> None:
    x = images(size)
    assert conjugacy_error(x, 2, "average", "average") < 1e-14
    if size >= 4:
        assert conjugacy_error(x, 4, "average", "average") < 1e-14  # one projection by two levels
    assert energy_sum_error(x, "average") < 1e-12


@pytest.mark.parametrize("wavelet", ["haar", *OTHERS])
@pytest.mark.parametrize("size", [16, 64])
def test_the_basis_is_that_of_pywavelets(wavelet: str, size: int) -> None:
    """PyWavelets' coefficients are of sums, ours of means: smaller by the width of the image."""
    levels = pywt.dwt_max_level(size, wavelet)
    basis = analysis(size, wavelet)
    signal = images(size)[0, 0, 0]
    coarse = size >> levels
    # Below the coarsest level that PyWavelets is asked for, the basis goes on.
    approximation, *details = pywt.wavedec(signal, wavelet, mode="periodization", level=levels)
    mine = (basis @ signal).numpy() * size**0.5
    np.testing.assert_allclose(mine[coarse:], np.concatenate(details), atol=1e-8)
    lowest = (analysis(coarse, wavelet).numpy() * coarse**0.5) @ approximation
    np.testing.assert_allclose(mine[:coarse], lowest, atol=1e-8)


def test_pywavelets_approximation_is_twice_the_pooled_image_per_level() -> None:
    x = images(32)
    for levels in (1, 2, 3):
        approximation, *_ = pywt.wavedec2(x.numpy(), "haar", level=levels)
        pooled = pool(x, 2**levels).numpy()
        np.testing.assert_allclose(approximation, 2**levels * pooled, rtol=1e-13)


@pytest.mark.parametrize("wavelet", OTHERS)
def test_another_wavelet_is_conjugate_to_its_own_projection_only(wavelet: str) -> None:
    x = images(32)
    assert conjugacy_error(x, 2, wavelet, wavelet) < 1e-14
    assert conjugacy_error(x, 2, wavelet, "average") > 1e-3
    assert energy_sum_error(x, wavelet) < 1e-11  # PyWavelets has 12 digits of sym4's taps
    # Between 2 and 1 every orthonormal wavelet is Haar's.
    assert conjugacy_error(images(2), 2, wavelet, "average") < 1e-14


def test_haar_pooling_is_average_pooling() -> None:
    assert conjugacy_error(images(32), 2, "haar", "average") < 1e-14


def test_what_is_no_projection_is_seen() -> None:
    """The basis of another size, and pixels of a corner instead of their mean."""
    x = images(16)
    corner = x[..., ::2, ::2]
    pooled = change_basis(corner, analysis(8, "average"))
    projected = change_basis(x, analysis(16, "average"))[..., :8, :8]
    assert float((pooled - projected).abs().max() / x.abs().max()) > 0.01


def test_28_pixels_are_padded_to_32_as_mnists_are() -> None:
    config = tiny_config(**MULTIPLE_32, image_size=32)
    binary = torch.randint(0, 2, (5, 1, 28, 28), dtype=torch.uint8)
    x = as_seen(binary, config)
    assert x.shape == (5, 1, 32, 32)
    assert torch.equal(x[..., 2:30, 2:30], 2 * binary.double() - 1)
    assert bool((x[..., :2, :] == -1).all())
    already = torch.nn.functional.pad(binary, [2] * 4)
    assert torch.equal(as_seen(already, config), x)


@pytest.mark.parametrize("pooling", ["average", "db2"])
def test_rows_of_the_digits(pooling: str, data_dir: Path) -> None:
    run = tiny_run(model={"pooling": pooling})
    found = list(conjugacy_rows(held_out_images(data_dir, run, "test"), run.model))
    assert [(row["resolution"], row["factor"]) for row in found] == [(8, 2), (4, 2), (4, 4), (2, 2)]
    for row in found:
        assert row["conjugacy_error"] < 1e-14
        assert row["energy_sum_error"] < 1e-12
        # Every orthonormal low-pass keeps the mean, which is all that is left at 1.
        is_haar = pooling == "average" or row["resolution"] == row["factor"]
        assert (row["haar_error"] < 1e-14) == is_haar
    # What a pooling by 4 takes away is what two by 2 do.
    assert found[2]["energy"] == pytest.approx(found[1]["energy"] + found[3]["energy"])


def test_a_wavelet_that_does_not_fit_further_ends_the_rows() -> None:
    config = tiny_config(image_size=32, **MULTIPLE_32)
    long = tiny_config(
        image_size=16, encoder="16x1,16d2,8x1", decoder="8x1,16m8,16x1", pooling="db4"
    )
    images = torch.randint(0, 2, (4, 1, 16, 16), dtype=torch.uint8)
    assert [row["resolution"] for row in conjugacy_rows(images, long)] == [16, 8]
    assert [row["resolution"] for row in conjugacy_rows(images, config)] == [16, 8, 4, 4, 2]
