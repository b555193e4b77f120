"""Unconditional samples of a run as a picture: `python -m model.sample RUN_DIR`.

Each row has a temperature, each column its own noise, shared by the rows.
"""

import argparse
import sys
from pathlib import Path

import torch

from model.config import ConfigError, RunConfig
from model.files import atomic_write
from model.measurement.bounds import load_model
from model.measurement.samples import image_grid, sample_rows


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m model.sample", description=__doc__)
    parser.add_argument("run_dir", type=Path, help="the run's folder, with model.safetensors")
    parser.add_argument("--output", type=Path, help="default: RUN_DIR/samples.png")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[0.5, 0.75, 1.0])
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--magnification", type=int, default=3)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        run = RunConfig.load(options.run_dir / "config.yaml")
        model = load_model(options.run_dir, run, "ema", torch.device(options.device))
    except (ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rows = sample_rows(model, options.temperatures, options.columns, run.seed)
    with atomic_write(options.output or options.run_dir / "samples.png") as temporary:
        image_grid(rows, options.magnification).save(temporary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
