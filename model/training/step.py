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
from model.training import cuda_graph, history
from model.training.state import Training
from model.training.warmup import kl_weight_at, learning_rate_at


class Step:
    """Takes a batch into the weights, their average and the learning curve.

    The update is skipped where the loss or its gradient is too large or not a number; the batch
    counts all the same.  `as_graph` is by default what the config says, if the device is a GPU.
    """

    def __init__(self, training: Training, *, as_graph: bool | None = None) -> None:
        self._training = training
        self._kl_weight = torch.ones((), dtype=torch.float64, device=training.device)
        if as_graph is None:
            as_graph = training.run.train.cuda_graph and training.device.type == "cuda"
        self._on_device = cuda_graph.CudaGraph(self._update) if as_graph else self._update
        self.slow_first = cuda_graph.WARM_UP + 1 if as_graph else 1
        """so many steps are slower than those after them"""

    def __call__(self, images: Tensor, noise: Sequence[Tensor]) -> None:
        """`images` are this rank's uint8 [share, C, H, W], `noise` is what `draw_noise` gives."""
        training = self._training
        config, number = training.run.train, training.progress.step
        training.optimiser.set_learning_rate(learning_rate_at(number, config))
        self._kl_weight.fill_(kl_weight_at(number, config))
        training.add_step(self._on_device(images, *noise))

    def _update(self, images: Tensor, *noise: Tensor) -> Tensor:
        """What the device does; the numbers of the learning curve [5], as `Curve` has them.

        It asks for the same operations in every step, and what differs between steps is in tensors.
        """
        training = self._training
        config, model, ranks = training.run.train, training.model, training.ranks
        # The loss is the mean NLL over the whole batch, since the gradients of the ranks, each with
        # its own part of the batch, are averaged.
        with towers_in(config.precision, training.device):
            bound = training.replica(images, noise)
        weighted_nats = bound.distortion_nats + self._kl_weight * bound.rate_nats
        loss = weighted_nats.sum() * (ranks.size / config.batch_size / model.loss_dims)
        training.optimiser.zero_grad()
        loss.backward()
        gradient_norm = clip_grad_norm_(training.optimiser.parameters, config.gradient_clip)
        means = ranks.sum(history.sums(bound)) / config.batch_size

        is_finite = means[0].isfinite() & gradient_norm.isfinite()  # also without a threshold
        is_skipped = ~(is_finite & (gradient_norm.double() <= config.skip_threshold))
        training.optimiser.step(is_skipped)
        training.ema.update(model, is_skipped)
        numbers = [means, gradient_norm[None], is_skipped[None]]
        return torch.cat([part.to(means.dtype) for part in numbers])
