"""Images as the model sees them: which ones at which step, and how grey ones become binary."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Generator, Tensor

from model.config import ConfigError
from model.data.arrays import load_images
from model.randomness import Purpose, image_generators, make_generator
from model.run_config import RunConfig

HeldOut = Literal["valid", "test"]


def binarise(images: Tensor, generators: Iterable[Generator]) -> Tensor:
    """Draw binary images: a pixel of intensity k is 1 with probability k / 255; uint8 to uint8."""
    shape = images.shape[1:]
    uniform = torch.stack([torch.rand(shape, generator=generator) for generator in generators])
    return (uniform * 255 < images).to(torch.uint8)


class TrainingBatches:
    """The batch of any step: permutations of the training images, binarised anew at each step."""

    def __init__(self, data_dir: Path, run: RunConfig) -> None:
        self.images = _checked(load_images(data_dir, run.dataset, "train"), run)
        self.seed = run.seed
        self.batch_size = run.train.batch_size
        self.is_binary = run.model.likelihood == "bernoulli"
        self.batches_per_epoch = len(self.images) // self.batch_size
        if self.batches_per_epoch == 0:
            raise ConfigError(
                f"batch_size {self.batch_size} exceeds the {len(self.images)} training images "
                f"of {run.dataset}"
            )
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)

    def at(self, step: int, share: range | None = None) -> Tensor:
        """The batch of one step, uint8 [B, C, H, W]; an epoch ends with its last whole batch.

        With `share`, only the images at those positions of the batch, which are the same ones.
        """
        share = range(self.batch_size) if share is None else share
        epoch, position = divmod(step, self.batches_per_epoch)
        if epoch != self._epoch:
            shuffle = make_generator(self.seed, Purpose.BATCH_ORDER, epoch)
            self._epoch = epoch
            self._order = torch.randperm(len(self.images), generator=shuffle).numpy()
        chosen = self._order[position * self.batch_size :][share.start : share.stop]
        images = _channels_first(self.images[chosen])
        if self.is_binary:
            generators = image_generators(self.seed, Purpose.BINARISATION, step, images=share)
            images = binarise(images, generators)
        return images


def held_out_images(data_dir: Path, run: RunConfig, split: HeldOut) -> Tensor:
    """A whole held-out split, uint8 [N, C, H, W]; its binarisation is the same for every run."""
    images = _channels_first(_checked(load_images(data_dir, run.dataset, split), run))
    if run.model.likelihood == "bernoulli":
        position = {"valid": 0, "test": 1}[split]
        generators = image_generators(
            0, Purpose.HELD_OUT_BINARISATION, position, images=range(len(images))
        )
        images = binarise(images, generators)
    return images


def _channels_first(images: np.ndarray) -> Tensor:
    """uint8 [N, H, W, C] -> [N, C, H, W], copied out of the memory map."""
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def _checked(images: np.ndarray, run: RunConfig) -> np.ndarray:
    expected = (run.model.image_size, run.model.image_size, run.model.image_channels)
    if images.shape[1:] != expected:
        raise ConfigError(
            f"{run.dataset} holds images of shape {images.shape[1:]}, but image_size and "
            f"image_channels in config.yaml say {expected}"
        )
    return images
