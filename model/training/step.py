"""A step of the training: one batch, one update of the weights, all of it on the device.

The host does not wait for the device in it (loop.py and state.py say when what was measured is
read): what decides, such as whether the update is skipped, is computed and used on the device.  So
a GPU can have many steps in its queue while the host prepares the next batches.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from model.network.precision import towers_in
from model.training import history
from model.training.state import Training
from model.training.warmup import kl_weight_at, learning_rate_at


def step(training: Training, images: Tensor, noise: Sequence[Tensor]) -> None:
    """Take a batch into the weights, their average and the learning curve.

    `images` are this rank's uint8 [share, C, H, W] on the training's device, `noise` is what
    `draw_noise` gives.  The update is skipped where the loss or its gradient is too large or not a
    number; the batch counts all the same.
    """
    config, model, ranks = training.run.train, training.model, training.ranks
    number = training.progress.step
    # The loss is the mean NLL over the whole batch, since the gradients of the ranks, each with its
    # own part of the batch, are averaged.
    with towers_in(config.precision, training.device):
        bound = training.replica(images, noise)
    weighted_nats = bound.distortion_nats + kl_weight_at(number, config) * bound.rate_nats
    loss = weighted_nats.sum() * (ranks.size / config.batch_size / model.loss_dims)
    training.optimiser.zero_grad()
    loss.backward()
    gradient_norm = clip_grad_norm_(training.optimiser.parameters, config.gradient_clip)
    means = ranks.sum(history.sums(bound)) / config.batch_size

    is_finite = means[0].isfinite() & gradient_norm.isfinite()  # also without a threshold
    is_skipped = ~(is_finite & (gradient_norm.double() <= config.skip_threshold))
    training.optimiser.step(learning_rate_at(number, config), is_skipped)
    training.ema.update(model, is_skipped)
    numbers = [means, gradient_norm[None], is_skipped[None]]
    training.add_step(torch.cat([part.to(means.dtype) for part in numbers]))
