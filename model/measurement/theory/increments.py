"""Theorems 4 and 5: the top-down blocks as Euler steps, and the state that they start from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import conv2d, gelu

from model.network.blocks import TopDownBlock
from model.network.hvae import HVAE
from model.network.latent import Latent
from model.network.state_norm import normalise
from model.randomness import Purpose, image_generators
from model.table import Table, column

if TYPE_CHECKING:
    from model.measurement.trained import Probe

NUM_IMAGES = 200  # of the test set, the first ones
BATCH_SIZE = 50  # images

TABLE = Table(
    name="increments",
    row="applied top-down block",
    note="""Theorems 4 and 5 in a posterior pass over the first 200 test images, averaged weights.
Norms are Euclidean, over channels and pixels of an image. If the r repeats of a block are steps
of one differential equation, the drift of one falls as 1/r and its noise as 1/sqrt(r).""",
    columns=[
        column("block", pa.int64(), "applied block, from 0, in the order of the top-down pass"),
        column("resolution", pa.int64(), "height = width of the state", "pixels"),
        column("repeat", pa.int64(), "which application of its weights the block is, from 0"),
        column("num_repeats", pa.int64(), "how often its weights are applied"),
        column(
            "initial_norm",
            pa.float64(),
            "norm of the learnt initial state Z_0 at this resolution; the theorem takes 0",
        ),
        column("increment", pa.float64(), "norm of (state after - state before), mean over images"),
        column(
            "drift",
            pa.float64(),
            "norm of the increment without the latent's noise, mean over images; null where the "
            "block does not add to the state",
        ),
        column(
            "noise",
            pa.float64(),
            "norm of the latent's projected noise, W (z - posterior mean), mean over images; null "
            "as drift",
        ),
        column(
            "euler_error",
            pa.float64(),
            "norm of (state after - both steps of Theorem 4) / norm of the state after, largest "
            "over images: rounding where the block is those two steps",
        ),
        column("num_images", pa.int64(), "test images"),
    ],
)


@dataclass(frozen=True)
class Increment:
    """Norms of what one applied block does to the state of each image, float64 [B]."""

    increment: Tensor
    drift: Tensor
    noise: Tensor
    euler_error: Tensor  # relative


def adds_to_state(model: HVAE) -> bool:
    """Whether a top-down block's output is its input plus something, before any normalisation."""
    config = model.config
    return config.residual_cells and config.cell != "markov" and config.state_norm == "none"


def euler_steps(block: TopDownBlock, x: Tensor, z: Tensor) -> Tensor:
    """Both steps of Theorem 4 from the state x [B, width, H, W], with the latent z between them.

    dZ = (mu_1 + mu_2) dt + sigma dW: Z^(1) = x + prior features, then + projected latent, then the
    residual block is added.  NVAE's cell has no first step.
    """
    first = x + block.z_projection(z)
    if block.has_prior_features:
        first = first + block.features(block.prior.hidden(block.prior.conv1(gelu(x))))
    return first + block.residual(first)


def _increment(block: TopDownBlock, x: Tensor, after: Tensor, latent: Latent) -> Increment:
    noise = conv2d(latent.z - latent.posterior_mean, block.z_projection.weight)
    expected = normalise(euler_steps(block, x, latent.z), block.state_norm)
    return Increment(
        increment=_norm(after - x),
        drift=_norm(after - x - noise),
        noise=_norm(noise),
        euler_error=_norm(after - expected) / _norm(after),
    )


@torch.inference_mode()
def increments(model: HVAE, images: Tensor, noise: Sequence[Tensor]) -> list[Increment]:
    """One per applied top-down block, in a posterior pass over images uint8 [B, C, H, W]."""
    top_down, found = model.top_down, []
    states = top_down.initial(len(images))
    seen = model.encode(images)
    for block, of_image, eps in zip(top_down.applied_blocks, seen, noise, strict=True):
        x = block.mix_in(states)
        states[block.resolution], latent = block(x, of_image, eps)
        found.append(_increment(block, x, states[block.resolution], latent))
    return found


@torch.no_grad()
def initial_norms(model: HVAE) -> dict[int, float]:
    """||Z_0|| at each resolution: of the learnt state before its first block, 0 where none is."""
    return {r: float(_norm(state)) for r, state in model.top_down.initial(1).items()}


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=(1, 2, 3), dtype=torch.float64)


def rows(probe: "Probe") -> list[dict[str, Any]]:
    """One row per applied top-down block; none for a model that has no such blocks."""
    model = probe.run.model
    if not isinstance(model, HVAE):
        return []
    return [*increment_rows(model, probe.run.test_images[:NUM_IMAGES], probe.run.config.seed)]


def increment_rows(model: HVAE, images: Tensor, seed: int) -> Iterator[dict[str, Any]]:
    """One row per applied top-down block, for images uint8 [N, C, H, W]."""
    batches = []
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE].to(model.device)
        indices = range(start, start + len(batch))
        # The noise of the first pass of bounds.py.
        noise = model.draw_noise(
            image_generators(seed, Purpose.TEST_NOISE, 0, images=indices, device=model.device)
        )
        batches.append(increments(model, batch, noise))
    initial, is_sum = initial_norms(model), adds_to_state(model)
    blocks = [(block, r) for block in model.config.top_down for r in range(block.repeats)]
    for index, (block, repeat) in enumerate(blocks):
        of_block = [batch[index] for batch in batches]
        yield {
            "block": index,
            "resolution": block.resolution,
            "repeat": repeat,
            "num_repeats": block.repeats,
            "initial_norm": initial[block.resolution],
            "increment": float(torch.cat([i.increment for i in of_block]).mean()),
            "drift": float(torch.cat([i.drift for i in of_block]).mean()) if is_sum else None,
            "noise": float(torch.cat([i.noise for i in of_block]).mean()) if is_sum else None,
            "euler_error": float(torch.cat([i.euler_error for i in of_block]).max()),
            "num_images": len(images),
        }
