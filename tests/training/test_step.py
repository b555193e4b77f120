"""The step that a GPU never keeps the host waiting for: what it does, and that it does not wait."""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_on_cpu import tensors_in
from examples import tiny_run
from options import each_option
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from trainings import assert_same_state, inputs, train_on_noise, training_of

from model.network.hvae import HVAE
from model.randomness import Purpose, make_generator
from model.run_config import RunConfig
from model.training.step import Step


def plain_training(run: RunConfig, steps: int) -> tuple[HVAE, list[Tensor], list[list[float]]]:
    """The same in plain PyTorch, where each decision is the host's: model, average and numbers."""
    config, training = run.train, training_of(run)
    model = HVAE(run.model)
    model.initialise(make_generator(run.seed, Purpose.INITIALISATION))
    average = [parameter.detach().clone() for parameter in model.parameters()]
    optimiser = torch.optim.AdamW(
        model.parameters(), betas=config.betas, weight_decay=config.weight_decay, fused=True
    )
    numbers: list[list[float]] = []
    updates = 0
    for number in range(steps):
        training.progress.step = number
        bound = model(*inputs(training))
        optimiser.zero_grad()
        (bound.nll_nats.sum() / config.batch_size / model.loss_dims).backward()
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip))
        rise = min(1.0, (number + 1) / config.warmup_iterations)
        optimiser.param_groups[0]["lr"] = config.learning_rate * rise
        means = [
            float(part.detach().sum() / config.batch_size)
            for part in (bound.nll_nats, bound.rate_nats, bound.distortion_nats)
        ]
        is_updated = isfinite(means[0]) and isfinite(norm) and norm <= config.skip_threshold
        if is_updated:
            optimiser.step()
            rate = min(config.ema_rate, (1 + updates) / (10 + updates))
            for ours, theirs in zip(average, model.parameters(), strict=True):
                ours.lerp_(theirs.detach(), 1 - rate)
            updates += 1
        numbers.append([*means, norm, float(not is_updated)])
    return model, average, numbers


def test_every_bit_is_that_of_the_plain_step_and_some_updates_are_skipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    steps = 14
    run = tiny_run(train={"log_every": 5, "iterations": steps, "skip_threshold": 1e9})
    norms = [row[3] for row in plain_training(run, steps)[2]]
    run = tiny_run(train={**vars(run.train), "skip_threshold": sorted(norms)[steps // 2]})
    model, average, numbers = plain_training(run, steps)
    assert 0 < sum(row[4] for row in numbers) < steps
    training = training_of(run)
    step = Step(training)
    for _ in range(steps):
        step(*inputs(training))
    training.read()
    skips = [bool(row[4]) for row in numbers]
    assert training.progress.skipped_updates == sum(skips)
    assert training.progress.consecutive_skips == [*skips[::-1], False].index(False)
    firsts = [n for n, skip in enumerate(skips) if skip and not (n and skips[n - 1])]
    told = [record.message for record in caplog.records if "update skipped" in record.message]
    assert [line.split(":")[0] for line in told] == [f"step {n}" for n in firsts]
    assert training.curve.state()["steps"].tolist() == numbers
    for ours, theirs in zip(training.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for ours, theirs in zip(training.ema.model.parameters(), average, strict=True):
        assert torch.equal(ours, theirs)


class NothingOfTheHost(TorchDispatchMode):
    """What is in the host's memory comes to a device by a copy, for which the host may wait."""

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tensors_in([args, kwargs, result]):
            assert tensor.device.type != "cpu", function
        return result


@pytest.fixture
def fused_adamw_without_data() -> Iterator[None]:
    """PyTorch has none whose learning rate is a tensor."""
    library = torch.library.Library("aten", "IMPL", "Meta")
    library.impl("_fused_adamw_.tensor_lr", lambda *_, **__: None)
    yield
    library._destroy()


@each_option
@pytest.mark.usefixtures("fused_adamw_without_data")
def test_the_host_neither_waits_nor_copies_in_a_step(options: dict[str, Any]) -> None:
    """On PyTorch's device without data whatever reads a value is an error."""
    training = training_of(tiny_run(model=options, train={"log_every": 1000}), "meta")
    step, (images, noise) = Step(training), inputs(training)
    images, noise = images.to("meta"), [part.to("meta") for part in noise]
    step(images, noise)
    with NothingOfTheHost():
        step(images, noise)
    assert training.progress.step == 2
    with pytest.raises(RuntimeError, match="meta"):
        training.read()


@pytest.mark.parametrize("threshold", [1e-9, 1e9], ids=["diverges", "finishes"])
def test_when_the_device_is_read_changes_nothing(tmp_path: Path, threshold: float) -> None:
    states = []
    for log_every in (1, 3, 50):
        settings = {"log_every": log_every, "skip_threshold": threshold, "iterations": 11}
        training = train_on_noise(tiny_run(train=settings), tmp_path / f"{log_every}")
        assert training.status == ("diverged" if threshold < 1 else "finished")
        states.append(training.state())
    for state in states:
        state["settings"]["train"].pop("log_every")
        for segment in state["progress"]["segments"]:
            segment.clear()  # times
        assert_same_state(state, states[0])
