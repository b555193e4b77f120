"""Bounds on the NLL of each image: one-sample, with the rate of each layer; importance-weighted."""

from dataclasses import dataclass
from math import log
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from model.config import ConfigError, EvaluateConfig, RunConfig
from model.files import atomic_write
from model.network.hvae import HVAE, HVAEOutput
from model.randomness import Purpose, make_generator
from model.training.checkpoints import Checkpoints

Weights = Literal["ema", "raw"]


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


def log_weight_nats(output: HVAEOutput, noise: list[Tensor]) -> Tensor:
    """log p(x | z) + log p(z) - log q(z | x) in nats [B], for the z drawn with `noise`."""
    ratios = [latent.log_ratio_nats(eps) for latent, eps in zip(output.latents, noise, strict=True)]
    return torch.stack(ratios).sum(dim=0) - output.distortion_nats


@torch.inference_mode()
def image_bounds(
    model: HVAE,
    images: Tensor,
    config: EvaluateConfig,
    seed: int,
    purpose: Purpose = Purpose.TEST_NOISE,
    progress: bool = False,
) -> ImageBounds:
    """Bounds for every image uint8 [N, C, H, W]; tensors on the CPU in float64.

    The importance-weighted bound is -log((1/K) sum_k w_k) over K passes (Burda et al. 2016),
    summed as a running log-sum-exp, so that memory does not grow with K; the first pass gives
    all the rest.
    The noise of a batch depends on the seed, the purpose and the batch's number alone.
    """
    device = model.top_down.gain.device
    parts = []
    batches = images.split(config.batch_size)  # the last, incomplete one too
    for index, batch in enumerate(tqdm(batches, unit="batch", disable=not progress)):
        batch = batch.to(device)
        activations = model.encode(batch)
        log_sum = torch.full((len(batch),), -torch.inf, dtype=torch.float64)
        for sample in range(config.importance_samples):
            noise = model.draw_noise(
                len(batch), make_generator(seed, purpose, index, sample, device=device)
            )
            output = model.posterior_pass(batch, activations, noise)
            log_sum = log_sum.logaddexp(log_weight_nats(output, noise).double().cpu())
            if sample == 0:
                distortion = output.distortion_nats.double().cpu()
                rates = output.rate_per_layer_nats.double().cpu()
        parts.append((distortion, rates, log(config.importance_samples) - log_sum))
    return ImageBounds(*(torch.cat(column) for column in zip(*parts, strict=True)))


def load_model(run_dir: Path, run: RunConfig, weights: Weights, device: torch.device) -> HVAE:
    """The run's model with its averaged weights, or with the raw ones out of its resume state."""
    model = HVAE(run.model)
    if weights == "ema":
        tensors = load_file(run_dir / "model.safetensors")
    else:
        state = Checkpoints(run_dir / "state").load()
        if state is None:
            raise ConfigError(f"{run_dir}/state holds no resume state, so no raw weights")
        tensors = state["model"]
    model.load_state_dict(tensors)
    return model.to(device).eval()


def write_bounds(path: Path, bounds: ImageBounds, metadata: dict[str, str]) -> None:
    """Write one row per image, with what a reader must know about them in the file's metadata."""
    table = pa.table(
        {
            "image": pa.array(range(len(bounds.nll_nats)), pa.int32()),
            "nll_nats": bounds.nll_nats.numpy(),
            "rate_nats": bounds.rate_nats.numpy(),
            "distortion_nats": bounds.distortion_nats.numpy(),
            "iw_nll_nats": bounds.iw_nll_nats.numpy(),
            "rate_per_layer_nats": pa.array(
                list(bounds.rate_per_layer_nats.float().numpy()), pa.list_(pa.float32())
            ),
        }
    ).replace_schema_metadata(metadata)
    with atomic_write(path) as temporary:
        pq.write_table(table, temporary)
