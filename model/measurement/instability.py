"""Sample statistics against test statistics, per temperature (section 3.3 of the paper).

Two of them: the energy that each resolution adds (Theorem 2's subspaces), and the Wasserstein-1
distance between the histograms of pixel values.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from model.config import ModelConfig, ProbeConfig, RunConfig
from model.data.batches import binarise
from model.measurement.samples import sample_rows
from model.network.hvae import HVAE
from model.network.pooling import embed, pool
from model.randomness import Purpose, make_generator

BATCH_SIZE = 100  # images


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


def scored_pixels(images: Tensor, config: ModelConfig) -> Tensor:
    """The central pixels of images [..., H, W] that the likelihood scores.

    Those around them are padding in the data, and anything in samples.
    """
    size = config.likelihood_size or config.image_size
    margin = (config.image_size - size) // 2
    return images[..., margin : margin + size, margin : margin + size]


@dataclass(frozen=True)
class Statistics:
    """What samples and test images are compared in."""

    energies: dict[int, Tensor]  # resolution -> [N], of pixel values scaled to 0 ... 1
    histogram: Tensor  # [C, 256], of the scored pixels


def statistics(images: Tensor, config: ModelConfig) -> Statistics:
    """Statistics of images uint8 [N, C, H, W] of a dataset; binary ones hold 0 and 1.

    Binary values count as grey levels 0 and 255.
    """
    scored = scored_pixels(images, config)
    if config.likelihood == "bernoulli":
        scored = 255 * scored
    margin = (config.image_size - scored.shape[-1]) // 2
    parts = [
        # Black around the scored pixels, as in the data, so that resolutions are the model's.
        energy_per_resolution(pad(part.double() / 255, [margin] * 4))
        for part in scored.split(BATCH_SIZE)  # in parts: float64 needs 8 times the memory
    ]
    energies = {r: torch.cat([part[r] for part in parts]) for r in parts[0]}
    return Statistics(energies, histogram(scored))


def sample_images(model: HVAE, config: ProbeConfig, seed: int) -> Tensor:
    """Samples as `HVAE.sample` gives them, uint8 [temperatures, num_samples, C, H, W].

    Sample i has the same noise at every temperature.
    """
    batches = torch.arange(config.num_samples).split(BATCH_SIZE)
    return torch.cat(
        [
            sample_rows(model, list(config.temperatures), len(batch), seed, index)
            for index, batch in enumerate(batches)
        ],
        dim=1,
    )


def temperature_rows(
    samples: Tensor, test_images: Tensor, run: RunConfig, config: ProbeConfig
) -> list[dict[str, object]]:
    """One row per temperature and resolution: statistics of the samples and of the test images.

    Samples uint8 [temperatures, N, C, H, W] of binary data are probabilities: pixels are drawn with
    them, with the same random numbers at every temperature.
    """
    test = statistics(test_images, run.model)
    rows: list[dict[str, object]] = []
    for temperature, images in zip(config.temperatures, samples, strict=True):
        if run.model.likelihood == "bernoulli":
            images = binarise(images, make_generator(run.seed, Purpose.SAMPLING, 2))
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
