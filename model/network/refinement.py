"""A trained model at another step size: its plain blocks applied more or less often.

If a weight-shared hierarchical VAE is an Euler discretisation of a diffusion in time (theorem 4),
the weights that it learnt at one step size give a model at any other. A plain block, trained
with r repeats and applied r' times, makes steps of h = r / r', in units of the step that it was
trained with. Drifts are multiplied by h, and variances, too:

    z ~ N(h mu, h sigma^2) of the posterior and of the prior,
    x <- x + h features + W z + h b,    x <- x + h residual(x),

and in the encoder x <- x + h residual(x). Blocks that project or embed stay as they are. Each
such model has a bound on the NLL of its own. A step's rate is h (mu_q - mu_p)^2 / (2 sigma_p^2)
plus a part of the sigmas alone, which does not depend on h: where they differ, the sum over all
steps grows with their number. (Ours; the paper has nothing of it.)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from math import log
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from model.config import ModelConfig
from model.network.blocks import BottomUpBlock, TopDownBlock
from model.network.hvae import HVAE
from model.network.layout import Block, text
from model.network.sharing import unroll

T = TypeVar("T")


def refined(model: HVAE, repeats: int) -> HVAE:
    """The model with the same weights and each plain block applied `repeats` times.

    Raises ConfigError for a model whose blocks have no step size.
    """
    model.config.require_steps()
    config = refined_config(model.config, repeats)
    finer = HVAE(config).to(model.top_down.gain).train(model.training)  # its device and dtype
    finer.load_state_dict(model.state_dict())
    up, down = finer.bottom_up, finer.top_down
    old = model.config
    up.applied_blocks = _at_steps(up.applied_blocks, old.bottom_up, config.bottom_up, BottomUpStep)
    down.applied_blocks = _at_steps(down.applied_blocks, old.top_down, config.top_down, TopDownStep)
    return finer


def _at_steps(
    applied: Iterable[T],
    trained: Sequence[Block],
    finer: Sequence[Block],
    of_step: Callable[[T, float], T],
) -> list[T]:
    """The applied blocks of a tower, those whose step is not the trained one in its place."""
    steps = [old.repeats / new.repeats for old, new in zip(trained, finer, strict=True)]
    blocks = dict.fromkeys(applied)  # each once, in order
    changed = [b if h == 1 else of_step(b, h) for b, h in zip(blocks, steps, strict=True)]
    return unroll(changed, finer)


def refined_config(config: ModelConfig, repeats: int) -> ModelConfig:
    """The config of the model with `repeats` applications of each plain block."""
    encoder, decoder = (
        text([replace(block, repeats=repeats) if block.is_plain else block for block in blocks])
        for blocks in (config.bottom_up, config.top_down)
    )
    return replace(
        config, encoder=encoder, decoder=decoder, blocks=1, repeats=1, resolutions="multiple"
    )


class BottomUpStep(BottomUpBlock):
    """A plain bottom-up block, with its weights, that makes a step h of another size."""

    def __init__(self, block: BottomUpBlock, step: float) -> None:
        nn.Module.__init__(self)
        vars(self).update(vars(block))
        self.step = step

    def cell(self, x: Tensor) -> Tensor:
        """x + h residual(x): [B, width, H, W]."""
        return x + self.step * self.residual(x)


class TopDownStep(TopDownBlock):
    """A plain top-down block, with its weights, that makes a step h of another size."""

    def __init__(self, block: TopDownBlock, step: float) -> None:
        nn.Module.__init__(self)
        vars(self).update(vars(block))
        self.step = step

    def distributions(self, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Posterior and prior with h times the means and the variances; see TopDownBlock."""
        posterior, prior, hidden = super().distributions(x, seen)
        return self._of_step(posterior), prior, hidden

    def _prior(self, activated: Tensor) -> tuple[Tensor, Tensor]:
        prior, hidden = super()._prior(activated)
        return self._of_step(prior), hidden

    def _of_step(self, distribution: Tensor) -> Tensor:
        mean, log_sigma = distribution.chunk(2, dim=1)
        return torch.cat([self.step * mean, log_sigma + 0.5 * log(self.step)], dim=1)

    def cell(self, x: Tensor, hidden: Tensor, z: Tensor) -> Tensor:
        """x <- x + h features + W z + h b, x <- x + h residual(x); see TopDownBlock."""
        h, projection = self.step, self.z_projection
        assert projection.bias is not None
        x = x + h * self.features(hidden) + conv2d(z, projection.weight, h * projection.bias)
        return x + h * self.residual(x)
