"""Weight sharing: repeats are the same module, its gradient is their sum, no parameter is added."""

import torch
from examples import tiny_config, tiny_model

from model.network.blocks import BottomUpBlock, TopDownBlock
from model.network.hvae import HVAE


def test_repeats_are_the_same_module_in_both_towers() -> None:
    model = HVAE(tiny_config(repeats=3))
    for tower in (model.bottom_up, model.top_down):
        applied = [id(block) for block in tower.applied_blocks]
        assert len(tower.blocks) == len(set(applied)) == 5
        for block in tower.blocks:
            assert isinstance(block, BottomUpBlock | TopDownBlock)
    # plain blocks three times in a row, blocks that project (8d2, 4d4) or embed (4m1, 8m4) once
    counts = [model.bottom_up.applied_blocks.count(block) for block in model.bottom_up.blocks]
    assert counts == [3, 1, 3, 1, 3]
    counts = [model.top_down.applied_blocks.count(block) for block in model.top_down.blocks]
    assert counts == [3, 1, 3, 1, 3]


def test_repeats_add_no_parameters_and_twice_the_blocks_add_some() -> None:
    x1 = HVAE(tiny_config()).num_parameters
    assert HVAE(tiny_config(repeats=5)).num_parameters == x1
    assert HVAE(tiny_config(blocks=2)).num_parameters > x1


def test_gradient_of_a_shared_block_is_the_sum_over_its_repeats(
    binary_images: torch.Tensor,
) -> None:
    """A model whose repeats are copies with weights of their own has the same gradients, summed."""
    shared = tiny_model(repeats=3).double()
    unshared = HVAE(tiny_config(blocks=3)).double()
    unshared.load_state_dict(
        {
            name: shared.state_dict()[original]
            for name, original in renamed_parameters(unshared, shared)
        }
    )
    noise = shared.draw_noise([torch.Generator().manual_seed(1)] * 3)
    losses = []
    for model in (shared, unshared):
        loss = model(binary_images, noise).nll_nats.sum()
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(losses[0], losses[1])

    summed = {name: torch.zeros_like(p) for name, p in shared.named_parameters()}
    gradients = dict(unshared.named_parameters())
    for name, original in renamed_parameters(unshared, shared):
        gradient = gradients[name].grad
        assert gradient is not None
        summed[original] += gradient
    for name, parameter in shared.named_parameters():
        torch.testing.assert_close(parameter.grad, summed[name], msg=name)


def renamed_parameters(unshared: HVAE, shared: HVAE) -> list[tuple[str, str]]:
    """Each parameter of the model without sharing, and the shared one that it is a copy of."""
    position = {
        tower: [
            list(getattr(shared, tower).blocks).index(b)
            for b in getattr(shared, tower).applied_blocks
        ]
        for tower in ("bottom_up", "top_down")
    }
    pairs = []
    for name in unshared.state_dict():
        tower, kind, *rest = name.split(".")
        if kind == "blocks":
            rest[0] = str(position[tower][int(rest[0])])
        pairs.append((name, ".".join([tower, kind, *rest])))
    return pairs
