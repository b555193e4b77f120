"""Unconditional samples of a model over a row of temperatures."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from model.network.generative_model import GenerativeModel
from model.randomness import Purpose, make_generator

BATCH_SIZE = 100  # images


def sample_rows(
    model: GenerativeModel, temperatures: Sequence[float], columns: int, seed: int, batch: int = 0
) -> Tensor:
    """Samples uint8 [rows, columns, C, H, W], one row per temperature, from one set of noise.

    `batch` is the number of a batch: each has noise of its own.
    """
    device = model.device
    noise = model.draw_noise(
        columns, make_generator(seed, Purpose.SAMPLING, 0, batch, device=device)
    )
    rows = []
    for temperature in temperatures:
        pixels_of = make_generator(seed, Purpose.SAMPLING, 1, batch, device=device)
        rows.append(model.sample(noise, temperature, pixels_of).cpu())
    return torch.stack(rows)


def sample_images(
    model: GenerativeModel, temperatures: Sequence[float], num_samples: int, seed: int
) -> Tensor:
    """Samples as `GenerativeModel.sample` gives them, uint8 [temperatures, num_samples, C, H, W].

    Sample i has the same noise at every temperature.
    """
    batches = torch.arange(num_samples).split(BATCH_SIZE)
    return torch.cat(
        [
            sample_rows(model, temperatures, len(batch), seed, index)
            for index, batch in enumerate(batches)
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
