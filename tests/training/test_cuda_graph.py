"""The step as a CUDA graph: on a CPU with what stands in for CUDA, and on a GPU if there is one."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from cuda_on_cpu import Graph, put_in_place_of_cuda
from examples import tiny_run
from options import OPTIONS
from torch import Tensor
from trainings import assert_same_state, inputs, train_on_noise, training_of

from model.config import ConfigError
from model.training import loop
from model.training.cuda_graph import WARM_UP, CudaGraph
from model.training.step import Step

RECORDABLE = {name: o for name, o in OPTIONS.items() if not o.get("gradient_checkpointing")}


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    return put_in_place_of_cuda(monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("options", RECORDABLE.values(), ids=list(RECORDABLE))
def test_replays_are_the_plain_step_bit_for_bit(
    graphs: list[Graph], options: dict[str, Any]
) -> None:
    """While learning rate and weight of the rate rise, and where an update is skipped."""
    rising = {"warmup_iterations": 7, "kl_warmup_iterations": 5, "log_every": 50}
    states = []
    for as_graph in (False, True):
        training = training_of(tiny_run(model=options, train=rising))
        step = Step(training, as_graph=as_graph)
        for number in range(WARM_UP + 3):
            images, noise = inputs(training)
            step(
                images, [part * float("nan") for part in noise] if number == WARM_UP + 1 else noise
            )
        states.append(training.state())
    assert [graph.num_replays for graph in graphs] == [3]
    plain, replayed = states
    for state in states:
        assert state["curve"]["steps"][:, 4].tolist() == [0, 0, 0, 0, 1, 0]
        state["curve"]["steps"].nan_to_num_()
    assert_same_state(replayed, plain)


@pytest.mark.parametrize("stop_after", [2, 5])
def test_validations_and_a_resume_do_not_disturb_it(
    graphs: list[Graph],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop_after: int,
) -> None:
    run = tiny_run(train={"iterations": 9, "validate_every": 4, "log_every": 3})
    plain = train_on_noise(run, tmp_path / "plain").state()
    monkeypatch.setattr(loop, "Step", partial(Step, as_graph=True))
    train_on_noise(run, tmp_path / "graph", stop_after=stop_after)
    assert_same_state(train_on_noise(run, tmp_path / "graph").state(), plain)
    replays = [graph.num_replays for graph in graphs]
    assert replays == [max(0, stop_after - WARM_UP), 9 - stop_after - WARM_UP][-len(replays) :]


def test_what_is_not_in_a_tensor_is_that_of_the_recording(graphs: list[Graph]) -> None:
    """So a number that changes between steps would be found by the tests above."""
    factor = 1.0

    def product(x: Tensor) -> Tensor:
        return x * factor

    call = CudaGraph(product)
    found = []
    for number in range(WARM_UP + 3):
        factor = float(number)
        found.append(call(torch.tensor(10.0)).item())
    recorded = 10.0 * WARM_UP
    assert found == [0.0, 10.0, 20.0, recorded, recorded, recorded]
    assert len(graphs) == 1


def test_results_stay_when_the_next_call_replays(graphs: list[Graph]) -> None:
    call = CudaGraph(torch.square)
    found = [call(torch.tensor(float(number))) for number in range(WARM_UP + 3)]
    assert [result.item() for result in found] == [0.0, 1.0, 4.0, 9.0, 16.0, 25.0]
    assert len(graphs) == 1


def test_a_step_that_waits_is_refused_in_one_line(graphs: list[Graph]) -> None:
    call = CudaGraph(lambda x: x * x.item())
    for _ in range(WARM_UP):
        call(torch.tensor(2.0))
    with pytest.raises(ConfigError, match=r"^train\.cuda_graph: .*leave the option out: .*wait"):
        call(torch.tensor(2.0))


@pytest.mark.parametrize(
    ("model", "train", "message"),
    [
        ({}, {"gpus": 2}, "cuda_graph: is for one GPU, and gpus is 2: leave one of them out"),
        (
            {"gradient_checkpointing": True},
            {},
            "train.cuda_graph: gradient_checkpointing cannot be recorded: leave one of them out",
        ),
    ],
)
def test_what_cannot_be_recorded(
    model: dict[str, Any], train: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        tiny_run(model, {"cuda_graph": True, **train})
    assert str(error.value) == message


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_gpu(precision: str) -> None:
    """Equal but for rounding: an algorithm of a library may add in another order."""
    curves = []
    for as_graph in (False, True):
        training = training_of(tiny_run(train={"precision": precision}), "cuda")
        step = Step(training, as_graph=as_graph)
        for _ in range(20):
            images, noise = inputs(training)
            step(images.cuda(), [part.cuda() for part in noise])
        curves.append(training.state()["curve"]["steps"])
    plain, replayed = curves
    torch.testing.assert_close(replayed, plain, rtol=1e-3, atol=1e-3)
