"""Convolutions in a lower precision than float32: where they are, and where not.

With bfloat16 for everything the KL is wrong by 0.3 nats and the mixture of logistics by 270 nats
per image.  So weights, states, distributions, latents, KL and likelihood are float32, and in
bfloat16 are the convolutions of the towers: nearly all of the work.

TF32 is how an NVIDIA GPU multiplies float32 fast, with 10 of its 23 bits.  PyTorch lets it do so in
convolutions unless it is told otherwise, and then no result would be of the precision it names.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from model.config import Precision


def towers_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Within it, the towers compute in this precision; a backward pass needs no context."""
    if precision != "bf16":
        return nullcontext()
    # A weight that is cast once for all repeats would have its gradients added up in bfloat16.
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def set_tf32(is_allowed: bool) -> None:
    """Whether a GPU may use TF32 for what this process computes in float32 from now on."""
    precision = "tf32" if is_allowed else "ieee"
    torch.backends.cudnn.conv.fp32_precision = precision  # type: ignore[attr-defined] # untyped
    torch.backends.cuda.matmul.fp32_precision = precision


def in_own_precision(x: Tensor) -> AbstractContextManager[object]:
    """Within it, everything is computed in the precision of its inputs, wherever that is."""
    if not torch.amp.is_autocast_available(x.device.type):
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)
