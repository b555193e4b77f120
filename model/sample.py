"""Unconditional samples of a run as a picture: `python -m model.sample RUN_DIR`.

Each row has a temperature, each column its own noise, shared by the rows.
"""

import argparse
import sys
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from model.config import ConfigError, RunConfig
from model.evaluate import load_model
from model.files import replacing
from model.hvae import HVAE
from model.randomness import Purpose, generator


def sample_rows(
    model: HVAE, temperatures: list[float], columns: int, seed: int, batch: int = 0
) -> Tensor:
    """Samples uint8 [rows, columns, C, H, W], one row per temperature, from one set of noise.

    Each number of a batch has noise of its own.
    """
    device = model.top_down.gain.device
    noise = model.draw_noise(columns, generator(seed, Purpose.SAMPLING, 0, batch, device=device))
    rows = []
    for temperature in temperatures:
        pixels_of = generator(seed, Purpose.SAMPLING, 1, batch, device=device)
        rows.append(model.sample(columns, pixels_of, temperature=temperature, noise=noise).cpu())
    return torch.stack(rows)


def picture(rows: Tensor, magnification: int) -> Image.Image:
    """Images uint8 [R, C, channels, H, W] side by side, a white line of one pixel between them."""
    count, columns, channels, height, width = rows.shape
    canvas = torch.full(
        (count * (height + 1) - 1, columns * (width + 1) - 1, channels), 255, dtype=torch.uint8
    )
    for r in range(count):
        for c in range(columns):
            top, left = r * (height + 1), c * (width + 1)
            canvas[top : top + height, left : left + width] = rows[r, c].permute(1, 2, 0)
    image = Image.fromarray(canvas.squeeze(-1).numpy())
    size = (image.width * magnification, image.height * magnification)
    return image.resize(size, Image.Resampling.NEAREST)


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
    with replacing(options.output or options.run_dir / "samples.png") as temporary:
        picture(rows, options.magnification).save(temporary)
    return 0


if __name__ == "__main__":
    sys.exit(main())
