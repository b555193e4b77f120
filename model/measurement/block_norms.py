"""Norms of the residual state at every applied block, and its relative backward errors.

Figure 5 and Theorem 5 of the paper.  Forward hooks do the measuring and are removed afterwards: a
pass that is not measured has neither their cost nor other numbers.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from model.network.blocks import TopDownBlock
from model.network.hvae import HVAE
from model.network.layout import Block
from model.randomness import Purpose, image_generators
from model.table import Table, column

if TYPE_CHECKING:
    from model.measurement.trained import Probe

BATCH_SIZE = 100  # images; the paper shows the deviation over 10 batches of 100
NUM_BATCHES = 10
# Backward errors are relative to the norm of the state: below this one they mean nothing.
SMALLEST_STATE = 1e-8

TABLE = Table(
    name="block_norms",
    row="tower and applied block",
    note="""The norms of figure 5: Euclidean, over channels and pixels of an image, in a posterior
pass over the first 10 batches of 100 test images (as many whole batches as there are), averaged
weights.""",
    columns=[
        column("tower", pa.string(), "bottom-up or top-down"),
        column("block", pa.int64(), "applied block, from 0, in the order of the tower's pass"),
        column("resolution", pa.int64(), "height = width of the state after the block", "pixels"),
        column("repeat", pa.int64(), "which application of its weights the block is, from 0"),
        column("norm", pa.float64(), "norm of the state after the block, mean over images"),
        column(
            "norm_standard_deviation",
            pa.float64(),
            "standard deviation of that norm over images (ddof 1)",
        ),
        column(
            "norm_batch_standard_deviation",
            pa.float64(),
            "standard deviation of its means over batches (ddof 1); NaN for one batch",
        ),
        column(
            "norm_in",
            pa.float64(),
            "norm of the state x that the block gets, after mixing in; of Z_0 for the first "
            "top-down block",
        ),
        column(
            "backward_error_prior",
            pa.float64(),
            "norm of the prior features / norm of x, mean over images; null for bottom-up",
        ),
        column(
            "backward_error_prior_batch_standard_deviation",
            pa.float64(),
            "standard deviation of its means over batches (ddof 1)",
        ),
        column(
            "backward_error_latent",
            pa.float64(),
            "norm of (prior features + projected latent) / norm of x; null for bottom-up",
        ),
        column(
            "backward_error_latent_batch_standard_deviation",
            pa.float64(),
            "standard deviation of its means over batches (ddof 1)",
        ),
        column(
            "num_masked",
            pa.int64(),
            "images in no backward error, norm of x below 1e-8; null for bottom-up",
        ),
        column("num_images", pa.int64(), "test images that the means are over"),
        column("num_batches", pa.int64(), "batches that they are split into"),
    ],
)


@dataclass(frozen=True)
class TowerNorms:
    """Euclidean norms over C, H, W of each image, float64, one column per applied block."""

    state_in: Tensor  # [N, blocks], what the block got; a top-down block: after mixing in
    state_out: Tensor  # [N, blocks], ||Z_i||


@dataclass(frozen=True)
class BlockNorms:
    """Norms of both towers in one posterior pass, and of the top-down blocks' first steps."""

    bottom_up: TowerNorms
    top_down: TowerNorms
    prior_step: Tensor  # [N, top-down blocks], ||prior features||
    latent_step: Tensor  # [N, top-down blocks], ||prior features + projected latent||


@dataclass
class _NormHooks:
    """Hooks that append one [B] tensor per application, so that repeats of a block count."""

    bottom_up_in: list[Tensor] = field(default_factory=list)
    bottom_up_out: list[Tensor] = field(default_factory=list)
    top_down_in: list[Tensor] = field(default_factory=list)
    top_down_out: list[Tensor] = field(default_factory=list)
    prior_step: list[Tensor] = field(default_factory=list)
    latent_step: list[Tensor] = field(default_factory=list)
    handles: list[RemovableHandle] = field(default_factory=list)
    wrapped: list[TopDownBlock] = field(default_factory=list)

    def watch_bottom_up(self, block: nn.Module) -> None:
        self.handles += [
            block.register_forward_pre_hook(_input_norm(self.bottom_up_in)),
            block.register_forward_hook(
                lambda _block, _inputs, state: self.bottom_up_out.append(_norm(state))
            ),
        ]

    def watch_top_down(self, block: TopDownBlock) -> None:
        cell = block.cell

        def measured_cell(x: Tensor, hidden: Tensor, z: Tensor) -> Tensor:
            # The block itself adds both in one convolution.
            projected = block.z_projection(z)
            features = block.features(hidden)
            self.prior_step.append(_norm(features))
            self.latent_step.append(_norm(projected + features if features.shape[1] else projected))
            return cell(x, hidden, z)

        vars(block)["cell"] = measured_cell  # before the class's, until it is removed
        self.wrapped.append(block)
        self.handles += [
            block.register_forward_pre_hook(_input_norm(self.top_down_in)),
            block.register_forward_hook(
                lambda _block, _inputs, out: self.top_down_out.append(_norm(out[0]))
            ),
        ]

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()
        for block in self.wrapped:
            del vars(block)["cell"]


def _norm(x: Tensor) -> Tensor:
    """Euclidean norm of each image [B], in float64, where no square of a float32 overflows."""
    return torch.linalg.vector_norm(x, dim=(1, 2, 3), dtype=torch.float64)


def _input_norm(norms: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    return lambda _block, inputs: norms.append(_norm(inputs[0]))


@contextmanager
def _recording(model: HVAE) -> Iterator[_NormHooks]:
    hooks = _NormHooks()
    try:
        # A repeated block is one module, whose hooks must not be registered twice.
        for up in set(model.bottom_up.applied_blocks):
            hooks.watch_bottom_up(up)
        for down in set(model.top_down.applied_blocks):
            hooks.watch_top_down(down)
        yield hooks
    finally:
        hooks.remove()


@torch.inference_mode()
def block_norms(model: HVAE, images: Tensor, noise: Sequence[Tensor]) -> BlockNorms:
    """Norms in one posterior pass over images uint8 [B, C, H, W]; tensors on the CPU."""
    with _recording(model) as hooks:
        model.top_down(model.encode(images), noise)

    def columns(norms: list[Tensor]) -> Tensor:
        return torch.stack(norms, dim=1).cpu()

    return BlockNorms(
        bottom_up=TowerNorms(columns(hooks.bottom_up_in), columns(hooks.bottom_up_out)),
        top_down=TowerNorms(columns(hooks.top_down_in), columns(hooks.top_down_out)),
        prior_step=columns(hooks.prior_step),
        latent_step=columns(hooks.latent_step),
    )


def rows(probe: "Probe") -> list[dict[str, Any]]:
    """One row per applied block, on the test images; none for a model that has no such blocks."""
    model = probe.run.model
    if not isinstance(model, HVAE):
        return []
    return block_rows(model, probe.run.test_images, probe.run.config.seed)


def block_rows(model: HVAE, images: Tensor, seed: int) -> list[dict[str, Any]]:
    """One row per applied block of both towers, over the first 10 batches of 100 images.

    Where there are fewer images it is as many whole batches as there are, or one smaller batch.
    """
    device = model.device
    batches = images.split(BATCH_SIZE)
    whole = [batch for batch in batches if len(batch) == BATCH_SIZE]
    norms = []
    for index, batch in enumerate((whole or list(batches))[:NUM_BATCHES]):
        # The noise of the first pass of bounds.py.
        indices = range(index * BATCH_SIZE, index * BATCH_SIZE + len(batch))
        noise = model.draw_noise(
            image_generators(seed, Purpose.TEST_NOISE, 0, images=indices, device=device)
        )
        norms.append(block_norms(model, batch.to(device), noise))
    config = model.config
    return [
        *_tower_rows("bottom-up", config.bottom_up, [n.bottom_up for n in norms], []),
        *_tower_rows("top-down", config.top_down, [n.top_down for n in norms], norms),
    ]


def _tower_rows(
    tower: str,
    blocks: Sequence[Block],
    norms: Sequence[TowerNorms],
    steps: Sequence[BlockNorms],
) -> Iterator[dict[str, Any]]:
    applied = [(block.output_resolution, r) for block in blocks for r in range(block.repeats)]
    for index, (resolution, repeat) in enumerate(applied):
        state_out = [n.state_out[:, index] for n in norms]  # [B] per batch
        state_in = [n.state_in[:, index] for n in norms]
        prior = [n.prior_step[:, index] for n in steps]
        latent = [n.latent_step[:, index] for n in steps]
        yield {
            "tower": tower,
            "block": index,
            "resolution": resolution,
            "repeat": repeat,
            "norm": float(torch.cat(state_out).mean()),
            "norm_standard_deviation": _deviation(torch.cat(state_out)),
            "norm_batch_standard_deviation": _deviation(_means(state_out)),
            "norm_in": float(torch.cat(state_in).mean()),
            **_backward_error("backward_error_prior", prior, state_in),
            **_backward_error("backward_error_latent", latent, state_in),
            "num_masked": int(_masked(torch.cat(state_in)).sum()) if steps else None,
            "num_images": len(torch.cat(state_out)),
            "num_batches": len(norms),
        }


def _masked(state: Tensor) -> Tensor:
    return state < SMALLEST_STATE  # False for NaN: a state that is not finite must show


def _backward_error(
    name: str, steps: Sequence[Tensor], states: Sequence[Tensor]
) -> dict[str, float | None]:
    """||step|| / ||state||, mean over the images not masked; None without any."""
    ratios = [(s / state)[~_masked(state)] for s, state in zip(steps, states, strict=False)]
    ratios = [ratio for ratio in ratios if len(ratio)]
    return {
        name: float(torch.cat(ratios).mean()) if ratios else None,
        f"{name}_batch_standard_deviation": _deviation(_means(ratios)) if ratios else None,
    }


def _means(batches: Sequence[Tensor]) -> Tensor:
    return torch.stack([batch.mean() for batch in batches])


def _deviation(values: Tensor) -> float:
    """Standard deviation, ddof 1; that of a single value is unknown, not 0."""
    return float(values.std()) if len(values) > 1 else float("nan")
