"""What holds for every option of a model: gradients, resuming, sampling, probing, several ranks."""

import dataclasses
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import posterior_pass, tiny_model, tiny_run
from options import OPTIONS, each_option, random_images
from torch import Tensor
from trainings import ROOT, assert_same_state, train_on_noise
from two_ranks import weights_of

from model.config import ModelConfig
from model.measurement.block_norms import block_rows
from model.measurement.samples import sample_images
from model.network.hvae import HVAE
from model.training.ranks import Ranks

Options = dict[str, Any]


def test_every_optional_field_is_in_the_list() -> None:
    optional = {
        f.name for f in dataclasses.fields(ModelConfig) if f.default is not dataclasses.MISSING
    }
    varied = {name for options in OPTIONS.values() for name in options}
    assert optional <= varied, "a new option needs a line in tests/options.py"
    for name, options in OPTIONS.items():
        assert name == "base" or name.split()[0].strip(",") in options


def gradients(model: HVAE, images: Tensor) -> dict[str, Tensor]:
    posterior_pass(model, images).nll_nats.mean().backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@each_option
def test_every_weight_that_is_used_gets_a_finite_gradient(options: Options) -> None:
    model = tiny_model(**options)
    found = gradients(model, random_images(model.config, 3))
    assert all(gradient.isfinite().all() for gradient in found.values())
    without = {name for name, _ in model.named_parameters()} - set(found)
    assert all(name.startswith("bottom_up.blocks.") for name in without)
    assert bool(without) == model.has_unused_parameters


@each_option
def test_gradient_checkpointing_gives_the_same_gradients(options: Options) -> None:
    plain, checkpointed = (
        tiny_model(**{**options, "gradient_checkpointing": flag}).double() for flag in (False, True)
    )
    images = random_images(plain.config, 3)
    torch.testing.assert_close(
        gradients(checkpointed, images), gradients(plain, images), rtol=1e-10, atol=1e-12
    )


@each_option
def test_a_training_resumes_bit_for_bit(options: Options, tmp_path: Path) -> None:
    lengths = {"iterations": 4, "validate_every": 3, "log_every": 3}
    run = tiny_run(options, {**lengths, "batch_size": 4, "validation_images": 4})
    straight = train_on_noise(run, tmp_path / "straight")
    stopped = train_on_noise(run, tmp_path / "stopped", stop_after=2)
    assert (stopped.status, stopped.progress.step) == ("running", 2)
    resumed = train_on_noise(run, tmp_path / "stopped")
    assert (resumed.status, len(resumed.progress.segments)) == ("finished", 2)
    assert_same_state(resumed.state(), straight.state())
    assert any(not torch.equal(*pair) for pair in zip(
        straight.model.parameters(), stopped.model.parameters(), strict=True
    ))  # fmt: skip


@each_option
def test_sampling(options: Options) -> None:
    model = tiny_model(**options)
    samples = sample_images(model, (0.5, 1.0), 4, seed=0)
    config = model.config
    assert samples.shape == (2, 4, config.image_channels, config.image_size, config.image_size)
    assert samples.dtype == torch.uint8
    assert torch.equal(samples, sample_images(model, (0.5, 1.0), 4, seed=0))


@each_option
def test_probing_has_a_row_for_every_applied_block(options: Options) -> None:
    model = tiny_model(**options)
    rows = block_rows(model, random_images(model.config, 3), seed=0)
    assert len(rows) == len(model.bottom_up.applied_blocks) + model.config.stochastic_depth
    assert all(torch.tensor(row["norm"]).isfinite() for row in rows)


@pytest.fixture(scope="module")
def weights_of_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Tensor]]:
    """The weights of every option, trained by two processes that stay for all of them."""
    file = tmp_path_factory.mktemp("ranks") / "weights.pt"
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    python_path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": python_path, "WORLD_SIZE": "2"}
    environment |= {"MASTER_ADDR": "localhost", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "tests/two_ranks.py"), str(file)],
            env={**environment, "RANK": rank, "LOCAL_RANK": rank},
        )
        for rank in ("0", "1")
    ]
    try:
        assert [process.wait(200) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    return torch.load(file)


@pytest.mark.parametrize("name", OPTIONS)
def test_two_ranks_equal_one_within_rounding(
    name: str, weights_of_two_ranks: dict[str, dict[str, Tensor]]
) -> None:
    alone = weights_of(OPTIONS[name], Ranks())
    torch.testing.assert_close(weights_of_two_ranks[name], alone, rtol=1e-9, atol=1e-12)
