"""What rises linearly in the first steps: the learning rate, and the weight of the rate."""

from model.config import TrainConfig


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate of a step, counted from 0; after `warmup_iterations` steps it stays."""
    return config.learning_rate * _risen(step, config.warmup_iterations)


def kl_weight_at(step: int, config: TrainConfig) -> float:
    """The weight of the rate in the loss; after `kl_warmup_iterations` steps it is 1.

    Bowman et al. 2016 and Sonderby et al. 2016; openai/vdvae and the paper have no such warm-up.
    """
    return _risen(step, config.kl_warmup_iterations)


def _risen(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / max(1, steps))
