"""What a model makes of an image when its finer latents are switched off (figure G.14)."""

from collections.abc import Iterable, Sequence

import torch
from torch import Generator, Tensor

from model.network.hvae import HVAE
from model.randomness import Purpose, image_generators

NUM_IMAGES = 200  # of the test set, the first ones
BATCH_SIZE = 50  # images


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


def reconstructions(
    model: HVAE, images: Tensor, seed: int, resolutions: Iterable[int]
) -> dict[int, Tensor]:
    """Reconstructions of images uint8 [N, C, H, W] from their latents up to each resolution.

    uint8 [N, C, H, W] in 0 ... 255 on the CPU, as `coarse_reconstructions` gives them.
    """
    parts: dict[int, list[Tensor]] = {resolution: [] for resolution in resolutions}
    for start in range(0, len(images), BATCH_SIZE):
        batch = images[start : start + BATCH_SIZE].to(model.device)
        indices = range(start, start + len(batch))
        # The noise of the first pass of bounds.py; the pixels' is used nowhere else.
        noise = model.draw_noise(
            image_generators(seed, Purpose.TEST_NOISE, 0, images=indices, device=model.device)
        )
        with torch.inference_mode():
            seen = model.encode(batch)
        for resolution, found in parts.items():
            pixels = image_generators(
                seed, Purpose.SAMPLING, 3, images=indices, device=model.device
            )
            found.append(coarse_reconstructions(model, seen, noise, resolution, pixels).cpu())
    return {resolution: torch.cat(found) for resolution, found in parts.items()}
