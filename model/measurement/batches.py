"""Many images, as many at a time as there is memory for."""

import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

T = TypeVar("T")


def in_batches(
    images: Tensor, size: int, compute: Callable[[Tensor, range], T], *, progress: bool
) -> Iterator[T]:
    """What `compute` gives for each batch of images [N, ...], in order.

    It gets a batch and its images' indices.  If the device has no memory for a batch, that one and
    all further ones have half as many images: the noise is each image's own, so results are equal
    but for rounding.  Raises torch.OutOfMemoryError if a single image is too much.
    """
    start = 0
    with tqdm(total=len(images), unit="image", disable=not progress) as bar:
        while start < len(images):
            indices = range(start, min(start + size, len(images)))
            try:
                result = compute(images[indices.start : indices.stop], indices)
            except torch.OutOfMemoryError:
                if len(indices) == 1:
                    raise
                size = len(indices) // 2
            else:
                yield result
                start = indices.stop
                bar.update(len(indices))
                continue
            # Not above: the error holds what the batch has left on the device.
            torch.cuda.empty_cache()
            bar.write(f"too little memory: batches of {size} images from now on", file=sys.stderr)
