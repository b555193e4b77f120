"""The learning rate of each step."""

from model.config import TrainConfig


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate rises linearly in the first `warmup_iterations` steps, then stays."""
    return config.learning_rate * min(1.0, (step + 1) / max(1, config.warmup_iterations))
