"""Gradient checkpointing: fewer activations kept, the same run."""

from math import prod

import torch
from examples import posterior_pass, tiny_model, tiny_run
from torch import Tensor


def kept_bytes(images: Tensor, **options: object) -> int:
    """How many bytes of the forward pass are kept for the backward pass."""
    model = tiny_model(**options)
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = prod(tensor.shape) * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        posterior_pass(model, images).nll_nats.mean().backward()
    return sum(kept.values())


def test_fewer_activations_are_kept(binary_images: Tensor) -> None:
    """That the gradients are the same, tests/test_options.py checks for every option."""
    num_bytes = kept_bytes(binary_images)
    assert kept_bytes(binary_images, gradient_checkpointing=True) < num_bytes / 3


def test_a_run_goes_on_with_or_without_it() -> None:
    assert tiny_run({"gradient_checkpointing": True}).hash == tiny_run().hash
