"""Theorem 2: pooling is the projection onto the coarser space, and energies of details add up."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pywt
import torch
from torch import Tensor
from torch.nn.functional import pad

from model.config import ModelConfig
from model.measurement.theory.wavelet_basis import analysis, change_basis
from model.network.hvae import HVAE
from model.network.likelihood import covered_pixels
from model.network.pooling import embed, pool
from model.table import Table, column

if TYPE_CHECKING:
    from model.measurement.trained import Probe

NUM_IMAGES = 1000  # of the test set, the first ones

TABLE = Table(
    name="conjugacy",
    row="resolution and factor of a pooling",
    note="""Theorem 2 on the first 1000 test images as the model sees them, in float64, padded with
black to a power of 2. A row for each halving of the resolution, and for each pooling of the encoder
by more. Coefficients are inner products with an orthonormal basis; the inner product is the mean
over pixels.""",
    columns=[
        column("pooling", pa.string(), "average, or the wavelet"),
        column("resolution", pa.int64(), "resolution before the pooling", "pixels"),
        column("factor", pa.int64(), "factor of the pooling"),
        column(
            "conjugacy_error",
            pa.float64(),
            "largest |coefficient of the pooled image - projected coefficient of the image|, in "
            "the pooling's own basis, / largest |value|",
        ),
        column(
            "haar_error",
            pa.float64(),
            "the same in the Haar basis: rounding for average and haar only",
        ),
        column("energy", pa.float64(), "energy that the pooling takes away, mean over images"),
        column(
            "energy_sum_error",
            pa.float64(),
            "largest |energies of all halvings + mean^2 - mean square| / mean square; of an image, "
            "one number per run",
        ),
        column("num_images", pa.int64(), "test images"),
    ],
)


def as_seen(images: Tensor, config: ModelConfig) -> Tensor:
    """Images uint8 [N, C, H, W] as the network gets them, in float64 and padded; [N, C, R, R].

    R is the next power of 2: 28 pixels could be halved twice only. The padding is black, as
    MNIST's.
    """
    mean, std = config.pixel_mean, config.pixel_std
    assert mean is not None
    assert std is not None, "with_pixel_moments gives both"
    size = images.shape[-1]
    missing = (1 << (size - 1).bit_length()) - size
    before, after = missing // 2, missing - missing // 2
    return (pad(images.double(), [before, after] * 2) - mean) / std


def blackened(pixels: Tensor, config: ModelConfig) -> Tensor:
    """Pixel values [N, C, H, W], black around those that the likelihood covers, as in the data.

    What a model draws there says nothing.
    """
    covered = covered_pixels(pixels, config)
    margin = (config.image_size - covered.shape[-1]) // 2
    return pad(covered, [margin] * 4)


def conjugacy_error(x: Tensor, factor: int, pooling: str, basis: str) -> float:
    """How far pooling is from the projection, of x [N, C, R, R]: largest deviation / largest |x|.

    The deviation is between the two sides of pi_{j-1} pool = proj pi_j (Theorem 2): the
    coefficients of the pooled images, and those of the images that the coarser space has.  `basis`
    is a pooling's: that of `pooling` itself, or of another one.
    """
    fine, coarse = x.shape[-1], x.shape[-1] // factor
    pooled = change_basis(pool(x, factor, pooling), analysis(coarse, basis))
    projected = change_basis(x, analysis(fine, basis))[..., :coarse, :coarse]
    return float((pooled - projected).abs().max() / x.abs().max())


def detail(x: Tensor, factor: int, pooling: str) -> Tensor:
    """(I - P) x: what the space that is coarser by `factor` lacks of x [N, C, R, R]."""
    return x - embed(pool(x, factor, pooling), factor, pooling)


def energy(x: Tensor) -> Tensor:
    """||x||^2 of each of x [N, C, R, R], the mean over pixels and channels.

    Of an activation the mean over channels is in its Lipschitz constant, too, and cancels in the
    inequality of Theorem 3.
    """
    return x.square().mean((1, 2, 3))


def fits(resolution: int, pooling: str) -> bool:
    """Whether images of this width can be halved; at 2 every wavelet is Haar's (pooling.py)."""
    length = 2 if pooling == "average" else pywt.Wavelet(pooling).dec_len
    return resolution == 2 or resolution >= length


def halved(x: Tensor, pooling: str) -> Iterator[Tensor]:
    """x [N, C, R, R], R a power of 2, and its projections down to a single pixel.

    They end earlier where a wavelet becomes longer than the images are wide.
    """
    yield x
    while fits(x.shape[-1], pooling):
        x = pool(x, 2, pooling)
        yield x


def energy_sum_error(x: Tensor, pooling: str) -> float:
    """Largest |sum of E_j + mean^2 - mean square| / mean square over the images x [N, C, R, R].

    E_j = ||P_{j+1} x - P_j x||^2, and mean^2 is the energy of the coarsest projection; images
    without any energy do not count.
    """
    *spaces, mean = halved(x, pooling)
    details = torch.stack([energy(detail(space, 2, pooling)) for space in spaces])
    total = energy(x)
    error = (details.sum(0) + energy(mean) - total).abs() / total
    return float(error[total > 0].max())


def rows(probe: "Probe") -> Iterator[dict[str, Any]]:
    """One row per resolution and factor; none for a model without an encoder that pools."""
    if isinstance(probe.run.model, HVAE):
        yield from conjugacy_rows(probe.run.test_images[:NUM_IMAGES], probe.run.config.model)


def conjugacy_rows(images: Tensor, config: ModelConfig) -> Iterator[dict[str, Any]]:
    """One row per halving, finest first, and per pooling of the encoder by more than 2."""
    x = as_seen(images, config)
    sum_error = energy_sum_error(x, config.pooling)
    larger = {(b.resolution, b.down) for b in config.bottom_up if b.down is not None and b.down > 2}
    for space in halved(x, config.pooling):
        resolution = space.shape[-1]
        factors = {factor for fine, factor in larger if fine == resolution}
        if fits(resolution, config.pooling):
            factors.add(2)
        for factor in sorted(factors):
            yield {
                "pooling": config.pooling,
                "resolution": resolution,
                "factor": factor,
                "conjugacy_error": conjugacy_error(space, factor, config.pooling, config.pooling),
                "haar_error": conjugacy_error(space, factor, config.pooling, "average"),
                "energy": float(energy(detail(space, factor, config.pooling)).mean()),
                "energy_sum_error": sum_error,
                "num_images": len(images),
            }
