"""Evaluation of a run on the whole test set: NLL, rates, importance-weighted bound.

`python -m model.evaluate RUN_DIR` writes `test.parquet`, one row per test image.
"""

import argparse
import sys
from pathlib import Path

import torch

from model.config import ConfigError, EvaluateConfig, RunConfig
from model.data.arrays import load_info
from model.data.batches import held_out_images
from model.data.sources import DataError
from model.measurement.bounds import image_bounds, load_model, write_bounds


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
            "likelihood_dims": str(run.model.likelihood_dims),
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
