"""Exponential moving average of the weights, which is what gets evaluated."""

from copy import deepcopy

import torch

from model.network.generative_model import GenerativeModel


class Ema:
    """A copy of a model whose weights follow the model's; it is in evaluation mode."""

    def __init__(self, model: GenerativeModel, rate: float) -> None:
        self.rate = rate
        self.updates = 0
        self.model = deepcopy(model).requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, model: GenerativeModel) -> None:
        """Move towards the model's weights, with a rate that is low at first.

        The rate of the n-th update is min(rate, (1 + n) / (10 + n)): with a constant 0.9999,
        95 % of the initial weights would still be there after 500 updates.
        """
        rate = min(self.rate, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - rate)
        for ours, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)  # such as a layer's running mean, which is an average already
        self.updates += 1
