"""Evaluation of a run on the whole test set: NLL, rates, importance-weighted bound.

`python -m model.evaluate RUN_DIR` writes `test.parquet`, one row per test image.
"""

import argparse
import sys
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

from model.batches import held_out_images
from model.checkpoint import Checkpoints
from model.config import ConfigError, EvaluateConfig, RunConfig
from model.data import load_info
from model.files import replacing
from model.hvae import HVAE, HVAEOutput
from model.randomness import Purpose, generator
from model.sources import DataError

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
                len(batch), generator(seed, purpose, index, sample, device=device)
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
    with replacing(path) as temporary:
        pq.write_table(table, temporary)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.evaluate", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="the run's folder, with model.safetensors")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--output", type=Path, help="default: RUN_DIR/test.parquet")
    parser.add_argument("--weights", choices=["ema", "raw"], default="ema")
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--importance-samples", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    try:
        config = EvaluateConfig(
            batch_size=options.batch_size, importance_samples=options.importance_samples
        )
        run = RunConfig.load(options.run_dir / "config.yaml")
        images = held_out_images(options.data_dir, run, "test")
        model = load_model(options.run_dir, run, options.weights, device)
        version = load_info(options.data_dir, run.dataset).version
    except (ConfigError, DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    bounds = image_bounds(model, images, config, run.seed, progress=sys.stderr.isatty())
    write_bounds(
        options.output or options.run_dir / "test.parquet",
        bounds,
        {
            "dataset_version": version,
            "split": "test",
            "weights": options.weights,
            "importance_samples": str(config.importance_samples),
            "num_images": str(len(images)),
            "scored_dims": str(run.model.scored_dims),
            "config_hash": run.hash,
        },
    )
    nll, rate, distortion, iw_nll = (
        float(x.mean())
        for x in (bounds.nll_nats, bounds.rate_nats, bounds.distortion_nats, bounds.iw_nll_nats)
    )
    print(
        f"{len(images)} test images, {options.weights} weights, nats per image: NLL {nll:.3f}, "
        f"rate {rate:.3f}, distortion {distortion:.3f}, "
        f"importance-weighted NLL {iw_nll:.3f} (K = {config.importance_samples})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
