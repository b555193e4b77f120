"""Bounds on the NLL at other step sizes than the trained one (model/network/refinement.py)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from model.config import ConfigError
from model.measurement.batches import in_batches
from model.network.hvae import HVAE
from model.network.refinement import refined
from model.randomness import Purpose, image_generators
from model.table import Table, column

if TYPE_CHECKING:
    from model.measurement.trained import Refinement

TABLE = Table(
    name="refinement",
    row="step size, noise and test image",
    columns=[
        column("is_trained", pa.bool_(), "the model as it was trained, of test.parquet"),
        column(
            "repeats",
            pa.int32(),
            "applications of each plain block; null where it was trained with different ones",
        ),
        column("stochastic_depth", pa.int32(), "stochastic layers: applied top-down blocks"),
        column(
            "flops_per_image",
            pa.int64(),
            "floating-point operations of one pass over an image (a multiplication and an addition "
            "are two), convolutions only",
        ),
        column("noise", pa.int32(), "number of the pass, from 0"),
        column("image", pa.int32(), "index in the test set, from 0"),
        column("nll_nats", pa.float64(), "one-sample bound on the NLL", "nats"),
        column("rate_nats", pa.float64(), "rate: KL of all stochastic layers", "nats"),
        column(
            "rate_of_sigmas_nats",
            pa.float64(),
            "the part of the rate that does not depend on the step: that of the sigmas",
            "nats",
        ),
        column("distortion_nats", pa.float64(), "distortion: -log p(x | z)", "nats"),
    ],
)


def rows(refinement: "Refinement") -> Iterator[dict[str, Any]]:
    """The rows of the trained model, then of each number of repeats, ascending.

    Raises ConfigError for a model that has no step size.
    """
    run = refinement.run
    model = run.model
    if not isinstance(model, HVAE):
        raise ConfigError(f"{type(model).__name__} has no blocks to apply more often")
    trained = run.config.model.repeats_of_plain_blocks
    models: list[tuple[int | None, HVAE]] = [(trained, model)]
    others = sorted(set(refinement.repeats) - {trained})
    models += [(number, refined(model, number)) for number in others]
    images = run.test_images[: refinement.config.num_images]
    for repeats, finer in models:
        about = {
            "is_trained": finer is model,
            "repeats": repeats,
            "stochastic_depth": finer.config.stochastic_depth,
            "flops_per_image": _flops(finer, images[:1].to(model.device)),
        }
        for bounds in _bounds(refinement, finer, images):
            yield about | bounds


def _bounds(refinement: "Refinement", model: HVAE, images: Tensor) -> Iterator[dict[str, Any]]:
    """Of one model: the columns of each image and noise."""
    seed, device = refinement.run.config.seed, model.device

    @torch.inference_mode()
    def of_batch(batch: Tensor, indices: range) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        batch = batch.to(device)
        encoded = model.encode(batch)
        for number in range(refinement.config.num_noises):
            # The first pass of the trained model is that of the evaluation.
            noise = model.draw_noise(
                image_generators(seed, Purpose.TEST_NOISE, number, images=indices, device=device)
            )
            bound = model.posterior_pass(batch, encoded, noise)
            rate = bound.rate_per_layer_nats.double().sum(dim=1)
            of_sigmas = torch.stack([x.rate_of_sigmas_nats() for x in bound.latents], dim=1)
            distortion = bound.distortion_nats.double()
            values = {
                "image": indices,
                "nll_nats": (distortion + rate).tolist(),
                "rate_nats": rate.tolist(),
                "rate_of_sigmas_nats": of_sigmas.double().sum(dim=1).tolist(),
                "distortion_nats": distortion.tolist(),
            }
            for of_image in zip(*values.values(), strict=True):
                rows.append({"noise": number, **dict(zip(values, of_image, strict=True))})
        return rows

    show = refinement.show_progress
    for rows in in_batches(images, refinement.batch_size, of_batch, progress=show):
        yield from rows


def _flops(model: HVAE, image: Tensor) -> int:
    """Of one pass over an image uint8 [1, C, H, W]."""
    noise = model.draw_noise([torch.Generator(model.device).manual_seed(0)])
    with FlopCounterMode(display=False) as counter:
        model.posterior_pass(image, model.encode(image), noise)
    return int(counter.get_total_flops())
