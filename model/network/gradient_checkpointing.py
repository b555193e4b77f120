"""Gradient checkpointing: a block's activations are computed again in the backward pass."""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def applied(block: nn.Module, *inputs: Any, recompute: bool) -> Any:
    """What the block gives for its inputs, keeping only them for the backward pass if `recompute`.

    The noise of a pass is an input, so nothing random is drawn again (Chen et al. 2016).
    """
    if recompute and torch.is_grad_enabled():
        return checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)
    return block(*inputs)
