"""Sample statistics against test statistics, per temperature (section 3.3 of the paper).

Two of them: the energy that each resolution adds (Theorem 2's subspaces), and the Wasserstein-1
distance between the histograms of pixel values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import pad

from model.config import ModelConfig
from model.data.batches import binarise
from model.network.likelihood import covered_pixels
from model.network.pooling import embed, pool
from model.randomness import Purpose, image_generators
from model.run_config import RunConfig
from model.table import Table, column

if TYPE_CHECKING:
    from model.measurement.trained import Probe

BATCH_SIZE = 100  # images
TABLE = Table(
    name="instability",
    row="temperature and resolution",
    note="""Samples against all test images. The energy in the detail of resolution r is the mean
square, over pixels and channels, of the image averaged to r × r minus the image averaged to
r/2 × r/2; that of resolution 1 is the square of the mean. Energies of all resolutions add up to the
mean square. Binary images count as grey levels 0 and 255, and samples are drawn from the pixels'
probabilities. Pixels that the likelihood does not cover are black.""",
    columns=[
        column("temperature", pa.float64(), "factor on the prior's sigma in every layer"),
        column("resolution", pa.int64(), "resolution whose detail the energy is of", "pixels"),
        column("energy_samples", pa.float64(), "energy of samples, pixels in 0 ... 1, mean"),
        column("energy_samples_standard_error", pa.float64(), "its standard error (ddof 1)"),
        column("energy_test", pa.float64(), "the same energy of the test images"),
        column(
            "histogram_distance",
            pa.float64(),
            "Wasserstein-1 distance between the pixel histograms of samples and test images; one "
            "number per temperature",
            "grey levels",
        ),
        column("num_samples", pa.int64(), "samples of each temperature"),
        column("num_images", pa.int64(), "test images"),
    ],
)


def energy_per_resolution(images: Tensor) -> dict[int, Tensor]:
    """The energy [N] of images [N, C, H, W] in each resolution's detail, finest resolution first.

    E_j = ||P_{j+1} x - P_j x||^2 in the inner product that is the mean over pixels and channels,
    named by the finer resolution; then what is left, mean^2 where the size is a power of 2.  They
    add up to the mean of x^2.
    """
    energies = {}
    while images.shape[-1] % 2 == 0:
        coarse = pool(images, 2)
        energies[images.shape[-1]] = (images - embed(coarse, 2)).square().mean((1, 2, 3))
        images = coarse
    energies[images.shape[-1]] = images.square().mean((1, 2, 3))
    return energies


def histogram(images: Tensor) -> Tensor:
    """Share of each value 0 ... 255 among the pixels of images uint8 [N, C, H, W]; [C, 256]."""
    channels = images.transpose(0, 1).flatten(1)
    counts = torch.stack([channel.bincount(minlength=256) for channel in channels.int()])
    return counts.double() / channels.shape[1]


def histogram_distance(first: Tensor, second: Tensor) -> float:
    """Wasserstein-1 distance of two histograms [C, 256] in grey levels, mean over channels."""
    return float((first.cumsum(1) - second.cumsum(1)).abs().sum(1).mean())


@dataclass(frozen=True)
class Statistics:
    """What samples and test images are compared in."""

    energies: dict[int, Tensor]  # resolution -> [N], of pixel values scaled to 0 ... 1
    histogram: Tensor  # [C, 256], of the pixels that the likelihood covers


def statistics(images: Tensor, config: ModelConfig) -> Statistics:
    """Statistics of images uint8 [N, C, H, W] of a dataset; binary ones hold 0 and 1.

    Binary values count as grey levels 0 and 255.
    """
    covered = covered_pixels(images, config)
    if config.likelihood == "bernoulli":
        covered = 255 * covered
    margin = (config.image_size - covered.shape[-1]) // 2
    parts = [
        # Black around the covered pixels, as in the data, so that resolutions are the model's.
        energy_per_resolution(pad(part.double() / 255, [margin] * 4))
        for part in covered.split(BATCH_SIZE)  # in parts: float64 needs 8 times the memory
    ]
    energies = {r: torch.cat([part[r] for part in parts]) for r in parts[0]}
    return Statistics(energies, histogram(covered))


def rows(probe: "Probe") -> list[dict[str, Any]]:
    """One row per temperature and resolution."""
    run, temperatures = probe.run, probe.config.temperatures
    return temperature_rows(temperatures, probe.samples, run.test_images, run.config)


def temperature_rows(
    temperatures: Sequence[float], samples: Tensor, test_images: Tensor, run: RunConfig
) -> list[dict[str, Any]]:
    """Statistics of samples uint8 [temperatures, N, C, H, W] and of the test images.

    Samples of binary data are probabilities: pixels are drawn with them, with the same random
    numbers at every temperature.
    """
    test = statistics(test_images, run.model)
    rows: list[dict[str, Any]] = []
    for temperature, images in zip(temperatures, samples, strict=True):
        if run.model.likelihood == "bernoulli":
            generators = image_generators(run.seed, Purpose.SAMPLING, 2, images=range(len(images)))
            images = binarise(images, generators)
        of_samples = statistics(images, run.model)
        rows += [
            {
                "temperature": temperature,
                "resolution": resolution,
                "energy_samples": float(energy.mean()),
                "energy_samples_standard_error": float(energy.std() / len(energy) ** 0.5),
                "energy_test": float(test.energies[resolution].mean()),
                "histogram_distance": histogram_distance(of_samples.histogram, test.histogram),
                "num_samples": len(images),
                "num_images": len(test_images),
            }
            for resolution, energy in sorted(of_samples.energies.items())
        ]
    return rows
