"""Theorem 3: what pooling discards in the encoder, against how well its bottleneck reconstructs.

sum_j E||proj X_{t_j}||^2 / ||F_{j|J}||^2 <= W2(B F nu, nu)^2.  As worded it does not hold for
arbitrary kernels B, so both sides are estimated and nothing is asserted but the bound by energies:
any measure on V_-j has at least the energy above j as its squared distance to the data.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor

from model.config import ModelConfig
from model.measurement.theory.bottleneck import BATCH_SIZE, NUM_IMAGES, reconstructions
from model.measurement.theory.conjugacy import blackened, detail, energy
from model.measurement.theory.lipschitz import before_pooling, lipschitz_lower, lipschitz_upper
from model.measurement.theory.transport import gelbrich, paired, transport_cost
from model.network.hvae import HVAE
from model.network.pooling import embed, pool
from model.table import Table, column

if TYPE_CHECKING:
    from model.measurement.trained import Probe

NUM_JACOBIANS = 16  # of the test images

TABLE = Table(
    name="regularisation",
    row="pooling of the encoder",
    note="""Both sides of Theorem 3 on the first 200 test images, averaged weights, the posterior of
the coarsest resolution and the prior's means above it. Images are normalised as the network gets
them, with black around the pixels that the likelihood covers; energies and squared distances are
means over pixels and channels. Reconstructions of binary images are the probabilities of white
pixels, others are drawn from the likelihood. Distances are Wasserstein-2.""",
    columns=[
        column("resolution", pa.int64(), "resolution before the pooling", "pixels"),
        column("factor", pa.int64(), "factor of the pooling"),
        column(
            "detail_energy",
            pa.float64(),
            "energy of what the pooling discards of the activation before it, mean over images",
        ),
        column(
            "lipschitz_lower",
            pa.float64(),
            "of the map from the image to that activation: largest norm of the Jacobian at images",
        ),
        column("lipschitz_upper", pa.float64(), "of the same map: product of the layers' norms"),
        column("num_jacobians", pa.int64(), "test images whose Jacobian is looked at"),
        column(
            "distance_lower",
            pa.float64(),
            "squared distance of reconstructions from the bottleneck to the images, Gelbrich's "
            "lower bound; one number per run, as the next",
        ),
        column("distance_paired", pa.float64(), "the same from above: reconstruction error"),
        column(
            "energy_above",
            pa.float64(),
            "energy of the images above the resolution that is pooled to",
        ),
        column(
            "distance_pooled_images",
            pa.float64(),
            "squared distance of the images pooled to it, Gelbrich's lower bound: equal to "
            "energy_above",
        ),
        column(
            "distance_pooled_images_paired",
            pa.float64(),
            "the same from above, image by image: equal to energy_above",
        ),
        column(
            "distance_pooled_reconstructions",
            pa.float64(),
            "squared distance of the reconstructions pooled to it, Gelbrich's lower bound: at "
            "least energy_above",
        ),
        column("num_images", pa.int64(), "test images"),
    ],
)


@dataclass(frozen=True)
class EnergyBound:
    """Squared distances of measures on V_-j to the data: none is below the energy above j."""

    energy_above: float
    pooled_images: float  # Gelbrich's lower bound
    pooled_images_paired: float
    pooled_others: float  # Gelbrich's lower bound


def energy_bound(x: Tensor, others: Tensor, factor: int, pooling: str) -> EnergyBound:
    """The bound by energies for images x and others [N, C, H, W], pooled by a factor.

    Gelbrich's bound is the distance of two Gaussians, one of them on V_-j, so that it is subject to
    the theorem, too; for the pooled images it is attained.
    """
    coarse, other = (embed(pool(y, factor, pooling), factor, pooling) for y in (x, others))
    return EnergyBound(
        energy_above=float(energy(detail(x, factor, pooling)).mean()),
        pooled_images=gelbrich(coarse, x),
        pooled_images_paired=paired(coarse, x),
        pooled_others=gelbrich(other, x),
    )


def rows(probe: "Probe") -> list[dict[str, Any]]:
    """One row per pooling; none for a model without any."""
    model = probe.run.model
    if not isinstance(model, HVAE):
        return []
    return regularisation_rows(model, probe.run.test_images[:NUM_IMAGES], probe.run.config.seed)


def regularisation_rows(model: HVAE, images: Tensor, seed: int) -> list[dict[str, Any]]:
    """One row per pooling of the encoder, in its order, for images uint8 [N, C, H, W]."""
    config, bottom_up = model.config, model.bottom_up
    poolings = [(b.resolution, b.down) for b in config.bottom_up if b.down is not None]
    if not poolings:
        return []
    x = normalised(images, config)
    reconstructed = normalised(bottleneck_images(model, images, seed), config)
    cost = transport_cost(x, reconstructed)
    seen = x.to(model.device, model.top_down.gain.dtype)
    lower = lipschitz_lower(bottom_up, config, seen[:NUM_JACOBIANS])
    upper = lipschitz_upper(bottom_up, config)
    discarded = detail_energies(model, seen)
    rows = []
    for j, (resolution, factor) in enumerate(poolings):
        to_coarse = config.image_size // (resolution // factor)
        bound = energy_bound(x, reconstructed, to_coarse, config.pooling)
        rows.append(
            {
                "resolution": resolution,
                "factor": factor,
                "detail_energy": discarded[j],
                "lipschitz_lower": lower[j],
                "lipschitz_upper": upper[j],
                "num_jacobians": min(NUM_JACOBIANS, len(images)),
                "distance_lower": cost.lower,
                "distance_paired": cost.paired,
                "energy_above": bound.energy_above,
                "distance_pooled_images": bound.pooled_images,
                "distance_pooled_images_paired": bound.pooled_images_paired,
                "distance_pooled_reconstructions": bound.pooled_others,
                "num_images": len(images),
            }
        )
    return rows


def normalised(pixels: Tensor, config: ModelConfig) -> Tensor:
    """Pixel values [N, C, H, W] as the network gets them, float64, black where none is scored."""
    assert config.pixel_mean is not None
    assert config.pixel_std is not None, "with_pixel_moments gives both"
    return (blackened(pixels, config).double() - config.pixel_mean) / config.pixel_std


def bottleneck_images(model: HVAE, images: Tensor, seed: int) -> Tensor:
    """Reconstructions of images uint8 [N, C, H, W] from their coarsest latents alone.

    Pixel values as the dataset's, on the CPU: of binary images the probability of a white pixel.
    """
    coarsest = min(block.resolution for block in model.config.top_down)
    found = reconstructions(model, images, seed, [coarsest])[coarsest]
    return found.double() / 255 if model.config.likelihood == "bernoulli" else found


@torch.inference_mode()
def detail_energies(model: HVAE, x: Tensor) -> list[float]:
    """E||(I - P) h_j||^2 of the activation h_j before each pooling, for images x [N, C, H, W]."""
    config = model.config
    factors = [block.down for block in config.bottom_up if block.down is not None]
    energies = []
    for batch in x.split(BATCH_SIZE):
        activations = before_pooling(model.bottom_up, config, batch)
        energies.append(
            torch.stack(
                [
                    energy(detail(h.double(), factor, config.pooling)).cpu()
                    for h, factor in zip(activations, factors, strict=True)
                ]
            )
        )
    return torch.cat(energies, dim=1).mean(1).tolist()
