"""Exponential moving average of the weights, which is what gets evaluated."""

from copy import deepcopy

import torch
from torch import Tensor

from model.network.generative_model import GenerativeModel


class Ema:
    """A copy of a model whose weights follow the model's; it is in evaluation mode."""

    def __init__(self, model: GenerativeModel, rate: float) -> None:
        self.rate = rate
        self.model = deepcopy(model).requires_grad_(False).eval()
        # How many there were is known on the device alone, where updates are skipped (step.py).
        self.updates = torch.zeros((), dtype=torch.float64, device=model.device)

    @torch.no_grad()
    def update(self, model: GenerativeModel, is_skipped: Tensor) -> None:
        """Move towards the model's weights, with a rate that is low at first; or do nothing.

        The rate of the n-th update is min(rate, (1 + n) / (10 + n)): with a constant 0.9999,
        95 % of the initial weights would still be there after 500 updates.  `is_skipped` is a
        boolean [].
        """
        rate = ((1 + self.updates) / (10 + self.updates)).clamp(max=self.rate)
        ours: list[Tensor] = [*self.model.parameters()]
        weight = ((1 - rate) * ~is_skipped).to(ours[0].dtype)
        move(ours, [*model.parameters()], weight, at_once=weight.is_cuda)
        for our, their in zip(self.model.buffers(), model.buffers(), strict=True):
            # such as a layer's running mean, which is an average already
            our.copy_(torch.where(is_skipped, our, their))
        self.updates += ~is_skipped


def move(ours: list[Tensor], theirs: list[Tensor], weight: Tensor, *, at_once: bool) -> None:
    """Let ours += weight (theirs - ours), with a weight [] on their device.

    `at_once` is a few launches for all tensors of a GPU, where lerp would be one for each of them;
    the two differ by rounding.
    """
    if at_once:
        steps = torch._foreach_sub(theirs, ours)
        torch._foreach_mul_(steps, weight)
        torch._foreach_add_(ours, steps)
    else:
        torch._foreach_lerp_(ours, theirs, [weight] * len(ours))
