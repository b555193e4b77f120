"""Single or multiple resolutions."""

import torch
from examples import posterior_pass, tiny_config

from model.network.hvae import HVAE
from model.network.layout import parse
from model.network.resolutions import single_resolution


def test_single_resolution_keeps_the_depth_and_moves_every_block_to_the_image(
    binary_images: torch.Tensor,
) -> None:
    assert single_resolution(parse("1x1,4m1,4r3,8m4,8x1"), 8) == parse("8x1,8x1,8r3,8x1,8x1")
    single, multiple = tiny_config(resolutions="single"), tiny_config()
    assert single.stochastic_depth == multiple.stochastic_depth == 5
    assert single.num_latents == 5 * single.zdim * 64
    model = HVAE(single)
    assert model.top_down.resolutions == [8]
    assert {seen.shape[-1] for seen in model.encode(binary_images)} == {8}
    output = posterior_pass(model, binary_images)
    assert {tuple(latent.z.shape) for latent in output.latents} == {(3, 2, 8, 8)}


def test_single_resolution_leaves_a_published_layout_as_it_is() -> None:
    layout = {"encoder": "8x4", "decoder": "8x5"}
    single = tiny_config(**layout, resolutions="single")
    assert single.top_down == tiny_config(**layout).top_down
    assert single.bottom_up == tiny_config(**layout).bottom_up
