"""Layers that draw random numbers: a step draws the same after a resume, validation draws none.

The dropout stands in the blocks of both towers, with a buffer beside it.
"""

from pathlib import Path

import pytest
import torch
from examples import tiny_run
from torch import Tensor, nn
from trainings import assert_same_state, train_on_noise

from model.config import EvaluateConfig, ModelConfig
from model.measurement.bounds import image_bounds
from model.network.hvae import HVAE
from model.run_config import RunConfig
from model.training.loop import validate
from model.training.state import Training


class Noisy(nn.Module):
    """A convolution's output with dropout, and a running mean as batch normalisation has one."""

    def __init__(self, inner: nn.Conv2d) -> None:
        super().__init__()
        self.inner = inner
        self.dropout = nn.Dropout(0.3)
        self.register_buffer("mean", torch.zeros(()))
        self.mean: Tensor

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        if self.training:
            self.mean.lerp_(x.detach().mean(), 0.1)
        return self.dropout(x) - self.mean


def build_with_dropout(config: ModelConfig) -> HVAE:
    model = HVAE(config)
    model.bottom_up.in_conv = Noisy(model.bottom_up.in_conv)  # type: ignore[assignment]
    for block in model.top_down.blocks:
        block.posterior.conv4 = nn.Sequential(block.posterior.conv4, nn.Dropout(0.3))
    return model


def short_run(gradient_checkpointing: bool = False) -> RunConfig:
    return tiny_run(
        {"gradient_checkpointing": gradient_checkpointing},
        {"iterations": 15, "validate_every": 5, "log_every": 5},
    )


def train(directory: Path, run: RunConfig, stop_after: int | None = None) -> Training:
    torch.rand(int.from_bytes(directory.name.encode()) % 97)  # what a process drew before
    return train_on_noise(run, directory, build=build_with_dropout, stop_after=stop_after)


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_it_resumes_bit_for_bit(tmp_path: Path, gradient_checkpointing: bool) -> None:
    run = short_run(gradient_checkpointing)
    straight = train(tmp_path / "straight", run)
    for stop_after in (3, 5, 8, None):
        resumed = train(tmp_path / "resumed", run, stop_after)
    assert len(resumed.progress.segments) == 4
    assert_same_state(resumed.state(), straight.state())


def test_gradient_checkpointing_draws_the_same_again(tmp_path: Path) -> None:
    kept, recomputed = (train(tmp_path / f"{flag}", short_run(flag)) for flag in (False, True))
    for one, other in zip(kept.model.parameters(), recomputed.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_dropout_is_on_in_training_and_off_in_validation_and_evaluation(tmp_path: Path) -> None:
    run = short_run()
    training = train(tmp_path / "run", run)
    images = torch.randint(0, 2, (20, 1, 8, 8), dtype=torch.uint8)
    assert training.model.training, "validation gives the raw model back in training mode"
    assert not training.ema.model.training
    first, second = (validate(training.ema.model, images, seed=0) for _ in range(2))
    assert first == second
    config = EvaluateConfig(batch_size=7, importance_samples=1)
    bounds = [image_bounds(training.ema.model, images, config, seed=0) for _ in range(2)]
    assert torch.equal(bounds[0].nll_nats, bounds[1].nll_nats)
    # The raw model: eval mode while validating, as the history's rows of it say.
    last = training.curve.validations[-1]
    assert (last["weights"], last["step"]) == ("raw", 15)
    noise = training.model.draw_noise([torch.Generator()] * 20)
    with torch.no_grad():
        one, other = (
            training.model(images, [eps.clone() for eps in noise]).nll_nats for _ in range(2)
        )
    assert not torch.equal(one, other), "this test has a model without dropout"


def test_averaged_weights_have_the_models_buffers(tmp_path: Path) -> None:
    training = train(tmp_path / "run", short_run())
    (mean,), (of_ema,) = list(training.model.buffers()), list(training.ema.model.buffers())
    assert mean != 0
    assert torch.equal(mean, of_ema)
