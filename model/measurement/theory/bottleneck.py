"""What a model makes of an image when its finer latents are switched off (figure G.14)."""

from collections.abc import Iterable, Sequence

import torch
from torch import Generator, Tensor

from model.network.hvae import HVAE


@torch.inference_mode()
def coarse_reconstructions(
    model: HVAE,
    seen: Sequence[Tensor],
    noise: Sequence[Tensor],
    resolution: int,
    generators: Iterable[Generator],
) -> Tensor:
    """Reconstructions uint8 [B, C, H, W] in 0 ... 255 from the latents up to a resolution.

    They are drawn from the posterior up to `resolution`; above it they are the prior's means, given
    the state. `seen` is what `HVAE.encode` gave; pixels are drawn by the generators, as in
    `HVAE.sample`.
    """
    top_down = model.top_down
    states = top_down.initial(len(noise[0]))
    for block, of_image, eps in zip(top_down.applied_blocks, seen, noise, strict=True):
        x = block.mix_in(states)
        if block.resolution <= resolution:
            states[block.resolution], _ = block(x, of_image, eps)
        else:
            states[block.resolution] = block.generate(x, eps, temperature=0)
    return model.likelihood.decode(top_down.features(states), generators)
