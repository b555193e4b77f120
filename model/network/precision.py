"""Convolutions in bfloat16: where they are, and where not.

With bfloat16 for everything the KL is wrong by 0.3 nats and the mixture of logistics by 270 nats
per image.  So weights, states, distributions, latents, KL and likelihood are float32, and in
bfloat16 are the convolutions of the towers: nearly all of the work.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from model.config import Precision


def towers_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Within it, the towers compute in this precision; a backward pass needs no context."""
    if precision == "fp32":
        return nullcontext()
    # A weight that is cast once for all repeats would have its gradients added up in bfloat16.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def in_own_precision(x: Tensor) -> AbstractContextManager[object]:
    """Within it, everything is computed in the precision of its inputs, wherever that is."""
    if not torch.amp.is_autocast_available(x.device.type):
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
