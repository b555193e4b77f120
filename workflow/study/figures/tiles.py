"""Images beside and below each other, in one panel."""

import numpy as np
from matplotlib.axes import Axes

from model.measurement.kept_images import Images


def draw_tiles(ax: Axes, images: Images) -> list[float]:
    """Draw uint8 [columns, rows, C, H, W], white lines between images; the columns' middles."""
    scale = max(1, 64 // images.shape[-1])  # so that a thin line is a whole number of pixels
    images = images.repeat(scale, axis=3).repeat(scale, axis=4)
    num_columns, num_rows, channels, height, width = images.shape
    line = height // 24
    shape = num_rows * (height + line) - line, num_columns * (width + line) - line, channels
    canvas = np.full(shape, 255, dtype=np.uint8)
    for column, of_column in enumerate(images):
        for row, image in enumerate(of_column):
            top, left = row * (height + line), column * (width + line)
            canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    ax.imshow(
        canvas if channels == 3 else canvas[..., 0],
        cmap="gray",
        vmin=0,
        vmax=255,
        interpolation="nearest",
    )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    return [column * (width + line) + width / 2 for column in range(num_columns)]
