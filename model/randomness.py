"""Explicit random generators: a draw depends on (seed, purpose, step, image), on nothing before it.

What is drawn for an image has a generator of its own, so that it depends neither on the images that
share its batch nor on the process that draws it.
"""

from collections.abc import Iterator
from enum import IntEnum

import numpy as np
import torch
from torch import Generator


class Purpose(IntEnum):
    """What a stream of random numbers is for; results depend on the numbers, so never renumber."""

    INITIALISATION = 0
    BATCH_ORDER = 1
    BINARISATION = 2
    TRAINING_NOISE = 3
    VALIDATION_NOISE = 4
    TEST_NOISE = 5
    SAMPLING = 6
    HELD_OUT_BINARISATION = 7
    LAYERS = 8


def make_generator(
    seed: int, purpose: Purpose, *position: int, device: torch.device | str = "cpu"
) -> Generator:
    """A generator for one purpose at one position, such as a step or an epoch."""
    return Generator(device).manual_seed(_seeds(1, seed, purpose, *position)[0])


def image_generators(
    seed: int,
    purpose: Purpose,
    *position: int,
    images: range,
    device: torch.device | str = "cpu",
) -> Iterator[Generator]:
    """The generator of each of the images, by their indices; take the next when one was used.

    It is one generator that gets a new seed, since making one costs more than seeding it.
    """
    generator = Generator(device)
    for image_seed in _seeds(images.stop, seed, purpose, *position)[images.start :]:
        yield generator.manual_seed(image_seed)


def seed_layers(seed: int, step: int, rank: int) -> None:
    """Seed what layers such as dropout draw from, PyTorch's global generators of all devices."""
    torch.manual_seed(_seeds(1, seed, Purpose.LAYERS, step, rank)[0])


def _seeds(count: int, seed: int, purpose: Purpose, *position: int) -> list[int]:
    """64-bit seeds; the n-th does not depend on how many there are.

    numpy's SeedSequence mixes the integers, so neighbouring seeds and steps are independent.
    """
    sequence = np.random.SeedSequence([seed, int(purpose), *position])
    seeds: list[int] = sequence.generate_state(count, np.uint64).tolist()
    return seeds
