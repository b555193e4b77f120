"""Bounds on the NLL of each test image: one-sample, rate by layer, importance-weighted."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor

from model.config import EvaluateConfig
from model.measurement.batches import in_batches
from model.network.generative_model import GenerativeModel
from model.randomness import Purpose, image_generators
from model.table import Table, column

if TYPE_CHECKING:
    from model.measurement.trained import Evaluation

TABLE = Table(
    name="test",
    row="test image",
    columns=[
        column("image", pa.int32(), "index in the test set, from 0"),
        column("nll_nats", pa.float64(), "one-sample bound on the NLL", "nats"),
        column("rate_nats", pa.float64(), "rate: KL of all stochastic layers", "nats"),
        column("distortion_nats", pa.float64(), "distortion: -log p(x | z)", "nats"),
        column("iw_nll_nats", pa.float64(), "importance-weighted bound on the NLL", "nats"),
        column(
            "rate_per_layer_nats",
            pa.list_(pa.float32()),
            "rate of each stochastic layer, in the order of the top-down pass",
            "nats",
        ),
    ],
)


@dataclass(frozen=True)
class ImageBounds:
    """Bounds on the negative log-likelihood of each image, in nats."""

    distortion_nats: Tensor  # [N]
    rate_per_layer_nats: Tensor  # [N, stochastic depth]
    iw_nll_nats: Tensor  # [N], importance-weighted bound

    @property
    def rate_nats(self) -> Tensor:  # [N]
        return self.rate_per_layer_nats.sum(dim=1)

    @property
    def nll_nats(self) -> Tensor:  # [N], one-sample bound with the analytic KL
        return self.distortion_nats + self.rate_nats


@torch.inference_mode()
def image_bounds(
    model: GenerativeModel,
    images: Tensor,
    config: EvaluateConfig,
    seed: int,
    progress: bool = False,
) -> ImageBounds:
    """Bounds for every image uint8 [N, C, H, W]; tensors on the CPU in float64.

    The importance-weighted bound is -log((1/K) sum_k w_k) over K passes (Burda et al. 2016),
    summed as a running log-sum-exp, so that memory does not grow with K; the first pass gives
    all the rest.
    The noise depends on the seed, the image's index and the sample's number alone.
    """
    device = model.device

    def of_batch(batch: Tensor, indices: range) -> tuple[Tensor, ...]:
        batch = batch.to(device)
        encoded = model.encode(batch)
        log_sum = torch.full((len(batch),), -torch.inf, dtype=torch.float64, device=device)
        for sample in range(config.importance_samples):
            noise = model.draw_noise(
                image_generators(seed, Purpose.TEST_NOISE, sample, images=indices, device=device)
            )
            bound = model.posterior_pass(batch, encoded, noise)
            log_sum = log_sum.logaddexp(bound.log_weight_nats().double())
            if sample == 0:
                distortion = bound.distortion_nats.double().cpu()
                rates = bound.rate_per_layer_nats.double().cpu()
        return distortion, rates, log(config.importance_samples) - log_sum.cpu()

    parts = in_batches(images, config.batch_size, of_batch, progress=progress)
    return ImageBounds(*(torch.cat(column) for column in zip(*parts, strict=True)))


def rows(evaluation: "Evaluation") -> Iterator[dict[str, Any]]:
    """One row per test image."""
    run = evaluation.run
    bounds = image_bounds(
        run.model,
        run.test_images,
        evaluation.config,
        run.config.seed,
        progress=evaluation.show_progress,
    )
    columns = {
        "nll_nats": bounds.nll_nats,
        "rate_nats": bounds.rate_nats,
        "distortion_nats": bounds.distortion_nats,
        "iw_nll_nats": bounds.iw_nll_nats,
        "rate_per_layer_nats": bounds.rate_per_layer_nats,
    }
    lists = [column.tolist() for column in columns.values()]
    for image, values in enumerate(zip(*lists, strict=True)):
        yield {"image": image, **dict(zip(columns, values, strict=True))}
