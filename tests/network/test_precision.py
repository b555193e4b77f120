"""Convolutions in bfloat16: what is computed in it, what is not, and what becomes of a training.

And in TF32, of which only what PyTorch is told can be seen without a GPU.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from examples import example_model, posterior_pass, tiny_run
from options import OPTIONS, each_option, random_images
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity
from trainings import assert_same_state, train_on_noise

from model.evaluate import main as evaluate
from model.network.blocks import BottomUpBlock, TopDownBlock
from model.network.precision import towers_in
from model.train import main as train

CPU = torch.device("cpu")


@each_option
def test_the_towers_convolutions_are_in_bf16_and_nothing_else(options: dict[str, Any]) -> None:
    model = example_model(**options)
    convolutions: dict[str, set[torch.dtype]] = {"towers": set(), "likelihood": set()}
    states: set[torch.dtype] = set()

    def note_state(_module: nn.Module, _inputs: object, output: Any) -> None:
        states.add(output.dtype if isinstance(output, Tensor) else output[0].dtype)

    def note_convolution(part: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda _module, _inputs, output: convolutions[part].add(output.dtype)

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            part = "likelihood" if name.startswith("likelihood") else "towers"
            module.register_forward_hook(note_convolution(part))
        if isinstance(module, BottomUpBlock | TopDownBlock):
            module.register_forward_hook(note_state)
    with towers_in("bf16", CPU):
        bound = posterior_pass(model, random_images(model.config, 3))
    assert convolutions == {"towers": {torch.bfloat16}, "likelihood": {torch.float32}}
    assert states == {torch.float32}
    for latent in bound.latents:
        assert {part.dtype for part in vars(latent).values()} == {torch.float32}
    assert bound.distortion_nats.dtype == bound.rate_nats.dtype == torch.float32


@pytest.mark.parametrize("pooling", ["average", "db2"])
def test_between_resolutions_the_state_is_not_rounded(pooling: str) -> None:
    model = example_model(pooling=pooling)
    (block,) = [block for block in model.top_down.blocks if block.mixin == 4]
    states = {
        r: torch.randn(2, 8, r, r, generator=torch.Generator().manual_seed(r)) for r in (4, 8)
    }
    exact = block.mix_in(states)
    with towers_in("bf16", CPU):
        assert torch.equal(block.mix_in(states), exact)


def test_gradients_of_repeats_are_added_up_in_fp32() -> None:
    """As exact as one application's: in bfloat16 thirty of them would lose nearly twice as much."""
    gradients = []
    for precision in ("fp32", "bf16"):
        model = example_model(repeats=30)
        with towers_in(precision, CPU):  # type: ignore[arg-type]
            bound = posterior_pass(model, random_images(model.config, 8))
        bound.nll_nats.mean().backward()
        weights = [p for name, p in model.named_parameters() if "conv" in name]
        gradients.append(torch.cat([p.grad.flatten() for p in weights]))  # type: ignore[union-attr]
    assert (gradients[1] - gradients[0]).norm() < 0.014 * gradients[0].norm()


@pytest.mark.parametrize(
    "name", ["base", "likelihood", "repeats", "pooling db2", "gradient_checkpointing"]
)
def test_bound_and_gradient_are_close_to_those_of_fp32(name: str) -> None:
    bounds, gradients = [], []
    for precision in ("fp32", "bf16"):
        model = example_model(**OPTIONS[name])
        with towers_in(precision, CPU):  # type: ignore[arg-type]
            bound = posterior_pass(model, random_images(model.config, 8))
        bound.nll_nats.mean().backward()
        bounds.append(bound.nll_nats.detach())
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))  # type: ignore[union-attr]
    assert not torch.equal(*bounds)
    torch.testing.assert_close(bounds[1].mean(), bounds[0].mean(), rtol=0.003, atol=0)
    assert cosine_similarity(*gradients, dim=0) > 0.999


def test_a_training_in_bf16_resumes_bit_for_bit_and_is_another_run(tmp_path: Path) -> None:
    run = tiny_run(train={"precision": "bf16"})
    whole = train_on_noise(run, tmp_path / "whole")
    train_on_noise(run, tmp_path / "stopped", stop_after=5)
    resumed = train_on_noise(run, tmp_path / "stopped")
    assert_same_state(resumed.state(), whole.state())
    plain = train_on_noise(tiny_run(), tmp_path / "plain")
    assert run.hash != tiny_run().hash
    gain = whole.model.state_dict()["top_down.gain"]
    assert not torch.equal(gain, plain.model.state_dict()["top_down.gain"])


def tf32() -> set[str]:
    """What PyTorch is told of float32 on a GPU."""
    return {
        torch.backends.cudnn.conv.fp32_precision,
        torch.backends.cuda.matmul.fp32_precision,
    }


@pytest.fixture
def pytorchs_own() -> Iterator[None]:
    """PyTorch's settings, again as they were after the test."""
    before = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    yield
    torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision = before


@pytest.mark.usefixtures("pytorchs_own")
def test_tf32_is_used_where_a_run_asks_for_it_and_never_by_a_measurement(
    tmp_path: Path, data_dir: Path
) -> None:
    for precision, expected in (("fp32", {"ieee"}), ("tf32", {"tf32"}), ("bf16", {"ieee"})):
        run = tiny_run(train={"precision": precision})
        run_dir = tmp_path / precision
        run_dir.mkdir()
        (run_dir / "config.yaml").write_text(run.dump())
        options = [str(run_dir), "--data-dir", str(data_dir), "--device", "cpu"]
        assert train([*options, "--threads", "1"]) == 0
        assert tf32() == expected
        assert evaluate([*options, "--importance-samples", "1"]) == 0
        assert tf32() == {"ieee"}
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("fp32", "tf32")]
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name])  # a CPU has none
