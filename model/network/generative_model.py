"""What training and measurement ask of a model: any family that offers this can be studied.

A family is an `nn.Module` with the methods of `GenerativeModel`, and a line in families.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

import torch
from torch import Generator, Tensor, nn

from model.config import ModelConfig


class Bound(Protocol):
    """The one-sample bound on the NLL of each image of a batch, in nats, with gradients."""

    @property
    def distortion_nats(self) -> Tensor:
        """-log p(x | z) [B]."""

    @property
    def rate_per_layer_nats(self) -> Tensor:
        """The KL of each stochastic layer [B, layers]; no layers for a model without latents."""

    @property
    def rate_nats(self) -> Tensor:
        """The rate of all layers [B]."""

    @property
    def nll_nats(self) -> Tensor:
        """Distortion + rate [B]: its mean over the images is the loss, but for `loss_dims`."""

    def log_weight_nats(self) -> Tensor:
        """log p(x, z) - log q(z | x) of the latents drawn [B]: the importance weight's log."""


class GenerativeModel(Protocol):
    """A model of 8-bit images uint8 [B, C, H, W] (binary ones hold 0 and 1) with latents.

    It draws nothing random but from generators that it is given, and in training mode from
    PyTorch's global ones, which layers such as dropout use.
    """

    @property
    def config(self) -> ModelConfig:
        """What it was built from."""

    @property
    def num_parameters(self) -> int:
        """Number of weights."""

    @property
    def device(self) -> torch.device:
        """Where its weights are."""

    @property
    def loss_dims(self) -> int:
        """The loss is nats per image over this: 1, or the dimensions of an image.

        Gradient norms, and so the thresholds of the training, are of that loss.
        """

    @property
    def has_unused_parameters(self) -> bool:
        """Whether some weights never get a gradient: several GPUs must not wait for them."""

    def initialise(self, generator: Generator, /) -> None:
        """Draw all weights."""

    def draw_noise(self, generators: Iterable[Generator], /) -> list[Tensor]:
        """Draw the noise of one pass on the generators' device, as tensors [B, ...].

        Each image's is drawn from its generator, before the next one is taken.
        """

    def __call__(self, images: Tensor, noise: Sequence[Tensor], /) -> Bound:
        """The bound for a batch: `posterior_pass` with what `encode` gives."""

    def encode(self, images: Tensor, /) -> Any:
        """What any number of posterior passes over the images can share."""

    def posterior_pass(self, images: Tensor, encoded: Any, noise: Sequence[Tensor], /) -> Bound:
        """The bound for a batch that is encoded already."""

    def sample(
        self, noise: Sequence[Tensor], temperature: float, generators: Iterable[Generator], /
    ) -> Tensor:
        """Unconditional samples, uint8 [B, C, H, W] in 0 ... 255, one for each image of the noise.

        `temperature` scales the sigma of every latent; an image's pixels come from its generator.
        """

    # The methods of nn.Module that are needed, since a Protocol cannot inherit from it.
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def buffers(self) -> Iterator[Tensor]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> Any: ...
    def requires_grad_(self, requires_grad: bool, /) -> Self: ...
    def to(self, device: torch.device, /) -> Self: ...
    def train(self) -> Self: ...
    def eval(self) -> Self: ...
