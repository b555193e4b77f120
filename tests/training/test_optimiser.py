"""AdamW as PyTorch's: the same bits, and a state that either takes from the other."""

import torch
from torch import Tensor, nn

from model.training.optimiser import AdamW

SETTINGS = {"betas": (0.9, 0.95), "weight_decay": 0.01}


def parameters() -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4, 1, 1), (7,), ()]
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def train(optimiser: AdamW | torch.optim.AdamW, of: list[nn.Parameter], steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        optimiser.zero_grad()
        for parameter in of[: 2 if step < 3 else 3]:  # the last one is not always used
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        rate = 0.1 / (step + 1)
        if isinstance(optimiser, AdamW):
            optimiser.set_learning_rate(rate)
            optimiser.step(torch.tensor(False))
        else:
            optimiser.param_groups[0]["lr"] = rate
            optimiser.step()


def flat(state: object) -> object:
    """A state dict with its tensors as text, to be compared in every bit."""
    if isinstance(state, Tensor):
        return str(state.dtype), state.shape, state.numpy().tobytes()
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    return [flat(value) for value in state] if isinstance(state, list | tuple) else state


def test_equal_to_pytorch_s_in_every_bit() -> None:
    mine, theirs = parameters(), parameters()
    ours = AdamW(mine, lr=0.1, **SETTINGS)
    torchs = torch.optim.AdamW(theirs, lr=0.1, fused=True, **SETTINGS)
    train(ours, mine, range(5))
    train(torchs, theirs, range(5))
    assert flat([p.detach() for p in mine]) == flat([p.detach() for p in theirs])
    assert flat(ours.state_dict()) == flat(torchs.state_dict())
    ours.zero_grad()
    assert all(parameter.grad is None for parameter in mine)


def test_each_goes_on_from_the_state_of_the_other() -> None:
    """States of versions that trained with PyTorch's are resumed."""
    begun, whole, mine, theirs = (parameters() for _ in range(4))
    first = AdamW(begun, lr=0.1, **SETTINGS)
    train(first, begun, range(4))
    uninterrupted = AdamW(whole, lr=0.1, **SETTINGS)
    train(uninterrupted, whole, range(8))
    torchs = torch.optim.AdamW(theirs, lr=0.5, fused=True)
    ours = AdamW(mine, lr=0.5, betas=(0.1, 0.1), weight_decay=0.0)
    for parameter, other, now in zip(theirs, mine, begun, strict=True):
        parameter.data.copy_(now.data)
        other.data.copy_(now.data)
    torchs.load_state_dict(first.state_dict())
    ours.load_state_dict(torchs.state_dict())
    for optimiser, of in ((torchs, theirs), (ours, mine)):
        train(optimiser, of, range(4, 8))
        assert flat([p.detach() for p in of]) == flat([p.detach() for p in whole])


def test_a_skipped_step_leaves_every_bit_whatever_the_gradients_are() -> None:
    of = parameters()
    optimiser = AdamW(of, lr=0.1, **SETTINGS)
    train(optimiser, of, range(5))
    before = flat([[p.detach() for p in of], optimiser.state_dict()["state"]])
    for parameter, value in zip(of, (float("nan"), float("inf"), 1e30), strict=True):
        parameter.grad = torch.full_like(parameter, value)
    optimiser.step(torch.tensor(True))
    assert flat([[p.detach() for p in of], optimiser.state_dict()["state"]]) == before
