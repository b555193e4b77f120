"""Gradient checkpointing: the backward pass computes a block's activations again."""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpointed(block: nn.Module, *inputs: Any) -> Any:
    """What the block gives for its inputs, which are all that is kept for the backward pass.

    Chen et al. 2016.  The noise of a pass is an input; what layers such as dropout draw themselves
    is drawn again the same, since the states of PyTorch's generators are kept beside the inputs.
    """
    if not torch.is_grad_enabled():
        return block(*inputs)
    return checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=True)
