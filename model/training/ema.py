"""Exponential moving average of the weights, which is what gets evaluated."""

import torch

from model.network.hvae import HVAE


class Ema:
    """A second model whose weights follow the first one's."""

    def __init__(self, model: HVAE, rate: float) -> None:
        self.rate = rate
        self.updates = 0
        self.model = HVAE(model.config).to(model.top_down.gain.device)
        self.model.load_state_dict(model.state_dict())
        self.model.requires_grad_(False)

    @torch.no_grad()
    def update(self, model: HVAE) -> None:
        """Move towards the model's weights, with a rate that is low at first.

        The rate of the n-th update is min(rate, (1 + n) / (10 + n)): with a constant 0.9999,
        95 % of the initial weights would still be there after 500 updates.
        """
        rate = min(self.rate, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), 1 - rate)
        self.updates += 1
