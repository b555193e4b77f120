"""Each image's random numbers depend on its index, not on the images beside it."""

import torch

from model.randomness import Purpose, image_generators


def draws(*position: int, images: range) -> torch.Tensor:
    generators = image_generators(3, Purpose.TRAINING_NOISE, *position, images=images)
    return torch.stack([torch.randn(8, generator=generator) for generator in generators])


def test_a_part_has_the_bits_of_the_whole() -> None:
    whole = draws(5, images=range(1000))
    for part in (range(0, 1), range(37, 74), range(990, 1000)):
        assert torch.equal(draws(5, images=part), whole[part.start : part.stop])
    assert len(whole.unique(dim=0)) == 1000
    assert not (draws(6, images=range(1000)) == whole).any()
