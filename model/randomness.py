"""Explicit random generators: a draw depends on (seed, purpose, step) and on nothing before it."""

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


def make_generator(
    seed: int, purpose: Purpose, *position: int, device: torch.device | str = "cpu"
) -> Generator:
    """A generator for one purpose at one position, such as a step or an epoch.

    numpy's SeedSequence mixes the integers, so neighbouring seeds and steps are independent.
    """
    state = np.random.SeedSequence([seed, int(purpose), *position]).generate_state(1, np.uint64)
    return Generator(device).manual_seed(int(state[0]))
