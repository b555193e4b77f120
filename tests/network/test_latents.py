"""The number of latents apart from depth: more channels in each latent."""

from examples import posterior_pass, tiny_config
from torch import Tensor

from model.network.hvae import HVAE


def test_each_latent_has_a_multiple_of_the_channels_at_the_same_depth(
    binary_images: Tensor,
) -> None:
    base, wide = tiny_config(zdim=2), tiny_config(zdim=2, zdim_multiple=3)
    assert wide.stochastic_depth == base.stochastic_depth
    assert wide.num_latents == 3 * base.num_latents
    output = posterior_pass(HVAE(wide), binary_images, seed=0)
    assert {latent.z.shape[1] for latent in output.latents} == {6}
    assert sum(latent.z[0].numel() for latent in output.latents) == wide.num_latents


def test_it_is_the_model_with_as_many_channels() -> None:
    written_out = HVAE(tiny_config(zdim=6)).state_dict()
    multiplied = HVAE(tiny_config(zdim=2, zdim_multiple=3)).state_dict()
    assert {k: v.shape for k, v in multiplied.items()} == {
        k: v.shape for k, v in written_out.items()
    }
