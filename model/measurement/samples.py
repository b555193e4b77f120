"""Unconditional samples of a model over a row of temperatures."""

from collections.abc import Iterator, Sequence

import torch
from PIL import Image
from torch import Generator, Tensor

from model.network.generative_model import GenerativeModel
from model.randomness import Purpose, image_generators

BATCH_SIZE = 100  # images


def sample_rows(
    model: GenerativeModel, temperatures: Sequence[float], columns: range, seed: int
) -> Tensor:
    """Samples uint8 [rows, columns, C, H, W], one row per temperature, from one set of noise.

    `columns` are indices of samples: each has noise of its own.
    """

    def generators(draw: int) -> Iterator[Generator]:
        return image_generators(seed, Purpose.SAMPLING, draw, images=columns, device=model.device)

    noise = model.draw_noise(generators(0))
    rows = [model.sample(noise, temperature, generators(1)).cpu() for temperature in temperatures]
    return torch.stack(rows)


def sample_images(
    model: GenerativeModel, temperatures: Sequence[float], num_samples: int, seed: int
) -> Tensor:
    """Samples as `GenerativeModel.sample` gives them, uint8 [temperatures, num_samples, C, H, W].

    Sample i has the same noise at every temperature.
    """
    samples = range(num_samples)
    return torch.cat(
        [
            sample_rows(model, temperatures, samples[start : start + BATCH_SIZE], seed)
            for start in samples[::BATCH_SIZE]
        ],
        dim=1,
    )


def image_grid(rows: Tensor, magnification: int) -> Image.Image:
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
