"""The parameter names of OpenAI's released VDVAE checkpoints, in both directions."""

import re
from collections.abc import Mapping

from torch import Tensor

from model.network.hvae import HVAE

_RENAMES = [  # (ours, theirs), applied to the front of a name, then to each part behind it
    (r"bottom_up\.in_conv\.", "encoder.in_conv."),
    (r"bottom_up\.blocks\.(\d+)\.residual\.", r"encoder.enc_blocks.\1."),
    (r"top_down\.blocks\.(\d+)\.posterior\.", r"decoder.dec_blocks.\1.enc."),
    (r"top_down\.blocks\.(\d+)\.prior\.", r"decoder.dec_blocks.\1.prior."),
    (r"top_down\.blocks\.(\d+)\.z_projection\.", r"decoder.dec_blocks.\1.z_proj."),
    (r"top_down\.blocks\.(\d+)\.residual\.", r"decoder.dec_blocks.\1.resnet."),
    (r"top_down\.initial_states\.", "decoder.bias_xs."),
    (r"top_down\.(gain|bias)$", r"decoder.\1"),
    (r"likelihood\.out_conv\.", "decoder.out_net.out_conv."),
]


def openai_name(name: str) -> str:
    """Our parameter's name in OpenAI's checkpoints; raises KeyError for one that they lack."""
    for ours, theirs in _RENAMES:
        renamed, count = re.subn(f"^{ours}", theirs, name)
        if count:
            return re.sub(r"\.conv(\d)\.", r".c\1.", renamed)
    raise KeyError(name)


def export_openai(model: HVAE) -> dict[str, Tensor]:
    """The model's parameters under OpenAI's names, as their checkpoints hold them."""
    return {openai_name(name): tensor for name, tensor in model.state_dict().items()}


def import_openai(model: HVAE, checkpoint: Mapping[str, Tensor]) -> None:
    """Load a checkpoint with OpenAI's names; raises KeyError or RuntimeError if it does not fit."""
    names = {openai_name(name): name for name in model.state_dict()}
    model.load_state_dict({names[theirs]: tensor for theirs, tensor in checkpoint.items()})
