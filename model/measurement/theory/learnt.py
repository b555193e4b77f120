"""What is learnt of each subspace: energies of reconstructions and samples (figure G.14)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from torch import Tensor

from model.config import ModelConfig
from model.data.batches import binarise
from model.measurement.samples import sample_images
from model.measurement.theory.conjugacy import as_seen, blackened, detail, energy, halved
from model.randomness import Purpose, image_generators
from model.run_config import RunConfig
from model.table import Table, column

if TYPE_CHECKING:
    from model.measurement.trained import Probe

TABLE = Table(
    name="learnt",
    row="kind of image and resolution of a detail",
    note="""The first 200 test images, their reconstructions with the posterior up to a resolution
and the prior's means above it, and as many samples; averaged weights. Images are normalised as the
network gets them, black around the pixels that the likelihood covers, padded to a power of 2;
details are those of the model's own pooling. Reconstructions and samples are drawn from the
likelihood: binary images are compared with binary ones.""",
    columns=[
        column("images", pa.string(), "test, reconstructions or samples (temperature 1)"),
        column(
            "posterior_up_to",
            pa.int64(),
            "highest resolution whose latents are the posterior's; null for the others",
            "pixels",
        ),
        column(
            "resolution",
            pa.int64(),
            "resolution whose detail it is, over the next coarser one; of the coarsest the images "
            "themselves (1: their mean)",
            "pixels",
        ),
        column("energy", pa.float64(), "mean square of the detail over pixels, mean over images"),
        column("energy_standard_error", pa.float64(), "its standard error (ddof 1)"),
        column(
            "coherence",
            pa.float64(),
            "inner product of the detail with that of the test images / product of both norms, "
            "over all images together; null for the others, and where one has no energy",
        ),
        column("num_images", pa.int64(), "images of each kind"),
    ],
)


def details(x: Tensor, pooling: str) -> dict[int, Tensor]:
    """(P_{j+1} - P_j) x of images x [N, C, R, R], R a power of 2, by resolution, finest first.

    Last comes the coarsest projection itself.  A detail is given at the finer of its resolutions.
    """
    *spaces, coarsest = halved(x, pooling)
    found = {space.shape[-1]: detail(space, 2, pooling) for space in spaces}
    return {**found, coarsest.shape[-1]: coarsest}


def coherence(first: Tensor, second: Tensor) -> float | None:
    """<first, second> / (||first|| ||second||) of details [N, C, r, r]; None for norms of 0."""
    norms = first.square().sum() * second.square().sum()
    return float((first * second).sum() / norms.sqrt()) if norms > 0 else None


def rows(probe: "Probe") -> list[dict[str, Any]]:
    """The rows of a run; none for a model without resolutions."""
    run, images = probe.run, probe.reconstructed
    if not probe.reconstructions:
        return []
    (samples,) = sample_images(run.model, [1.0], len(images), run.config.seed)
    return [*learnt_rows(images, probe.reconstructions, samples, run.config)]


def learnt_rows(
    images: Tensor, reconstructions: Mapping[int, Tensor], samples: Tensor, run: RunConfig
) -> Iterator[dict[str, Any]]:
    """A row per kind and detail, for test images, reconstructions up to each resolution, samples.

    All are uint8 [N, C, H, W]; those of a model of binary images are probabilities, which pixels
    are drawn with: the samples' as in `instability.parquet`, the reconstructions' with the same
    random numbers up to each resolution.
    """
    is_binary = run.model.likelihood == "bernoulli"

    def of(pixels: Tensor, position: int) -> dict[int, Tensor]:
        if is_binary:
            number = range(len(pixels))
            drawn = image_generators(run.seed, Purpose.SAMPLING, position, images=number)
            pixels = binarise(pixels, drawn)
        return _details_as_seen(pixels, run.model)

    test = _details_as_seen(images, run.model)
    yield from _rows("test", None, test)
    for resolution, reconstructed in reconstructions.items():
        yield from _rows("reconstructions", resolution, of(reconstructed, 4), test)
    yield from _rows("samples", None, of(samples, 2))


def _details_as_seen(images: Tensor, config: ModelConfig) -> dict[int, Tensor]:
    return details(as_seen(blackened(images, config), config), config.pooling)


def _rows(
    images: str,
    posterior_up_to: int | None,
    found: Mapping[int, Tensor],
    test: Mapping[int, Tensor] | None = None,
) -> Iterable[dict[str, Any]]:
    for resolution, of_images in sorted(found.items()):
        energies = energy(of_images)
        yield {
            "images": images,
            "posterior_up_to": posterior_up_to,
            "resolution": resolution,
            "energy": float(energies.mean()),
            "energy_standard_error": float(energies.std() / len(energies) ** 0.5),
            "coherence": None if test is None else coherence(of_images, test[resolution]),
            "num_images": len(energies),
        }
