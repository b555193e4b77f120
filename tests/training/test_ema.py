"""Averaged weights: their rate, and that they are a copy which shares nothing with the model."""

import pytest
import torch
from examples import posterior_pass, tiny_model
from options import each_option, random_images

from model.training.ema import Ema, move


def test_averaged_weights_follow_with_a_rate_that_warms_up() -> None:
    model = tiny_model()
    ema = Ema(model, 0.9)
    expected = model.top_down.gain.detach().clone().double()
    for n in range(30):
        with torch.no_grad():
            model.top_down.gain.add_(1.0)
        ema.update(model, torch.tensor(False))
        rate = min(0.9, (1 + n) / (10 + n))
        expected = rate * expected + (1 - rate) * model.top_down.gain.detach().double()
    torch.testing.assert_close(ema.model.top_down.gain.double(), expected)
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_skipped_update_changes_neither_weights_nor_buffers_nor_the_rate_to_come() -> None:
    model = tiny_model()
    model.register_buffer("seen", torch.tensor(1))
    ema = Ema(model, 0.9)
    before = {name: tensor.clone() for name, tensor in ema.model.state_dict().items()}
    with torch.no_grad():
        model.top_down.gain.add_(1.0)
        model.seen.add_(1)
    ema.update(model, torch.tensor(True))
    assert ema.updates == 0
    assert all(torch.equal(ema.model.state_dict()[name], before[name]) for name in before)
    ema.update(model, torch.tensor(False))
    assert ema.updates == 1
    assert ema.model.seen == 2


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.9])
def test_all_at_once_as_on_a_gpu_is_the_same_but_for_rounding(weight: float) -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 3, 3), (7,), ()]
    ours, theirs = ([torch.randn(s, generator=generator) for s in shapes] for _ in range(2))
    found = {}
    for at_once in (True, False):
        found[at_once] = [tensor.clone() for tensor in ours]
        move(found[at_once], theirs, torch.tensor(weight), at_once=at_once)
    torch.testing.assert_close(found[True], found[False])
    for moved, our, their in zip(found[True], ours, theirs, strict=True):
        torch.testing.assert_close(moved, our + weight * (their - our))
        assert torch.equal(moved, our) == (weight == 0)


@each_option
def test_the_copy_is_the_same_model_and_shares_no_weight(options: dict[str, object]) -> None:
    model = tiny_model(**options)
    copy = Ema(model, 0.9).model
    images = random_images(model.config, 3)
    expected = posterior_pass(model, images).nll_nats
    assert torch.equal(posterior_pass(copy, images).nll_nats, expected)
    for tower, its_copy in ((model.bottom_up, copy.bottom_up), (model.top_down, copy.top_down)):
        # The applied blocks are the copy's own, and repeats are the same module there too.
        of_copy = list(its_copy.blocks)
        positions = [list(tower.blocks).index(block) for block in tower.applied_blocks]
        assert [of_copy.index(block) for block in its_copy.applied_blocks] == positions
    with torch.no_grad():
        for parameter in copy.parameters():
            parameter.fill_(float("nan"))
    assert torch.equal(posterior_pass(model, images).nll_nats, expected)
