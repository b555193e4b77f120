"""Gradient checkpointing: equal gradients, fewer saved activations, no other run."""

from math import prod

import pytest
import torch
from examples import tiny_config, tiny_run
from torch import Tensor

from model.network.hvae import HVAE


def loss_and_gradients(images: Tensor, **options: object) -> tuple[Tensor, list[Tensor], int]:
    """Loss, gradients, and how many bytes the backward pass kept of the forward pass."""
    model = HVAE(tiny_config(**options)).double()
    model.initialise(torch.Generator().manual_seed(0))
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = prod(tensor.shape) * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = model(images, generator=torch.Generator().manual_seed(1))
        loss = output.nll_nats.mean()
    num_bytes = sum(kept.values())
    loss.backward()
    return loss, [p.grad for p in model.parameters() if p.grad is not None], num_bytes


@pytest.mark.parametrize("options", [{}, {"repeats": 3}, {"cell": "markov", "skip": "mirror"}])
def test_equal_gradients_of_fewer_saved_activations(
    options: dict[str, object], binary_images: Tensor
) -> None:
    loss, gradients, num_bytes = loss_and_gradients(binary_images, **options)
    again = loss_and_gradients(binary_images, **options, gradient_checkpointing=True)
    torch.testing.assert_close(again[0], loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(again[1], gradients, rtol=1e-10, atol=1e-12)
    assert again[2] < num_bytes / 3


def test_a_run_goes_on_with_or_without_it() -> None:
    assert tiny_run({"gradient_checkpointing": True}).hash == tiny_run().hash
