"""How long an iteration of a model takes on this machine: a few are done, on noise."""

import dataclasses
import time
from datetime import UTC, datetime

import torch

from model.network.families import build_model
from model.randomness import Purpose, image_generators
from model.run_config import RunConfig
from model.training.provenance import new_segment
from model.training.ranks import Ranks
from model.training.state import Training
from model.training.step import Step
from study.plan_pace import Pace

MOST_ITERATIONS, MOST_S = (
    5,
    20.0,
)  # whichever comes first; the first ones, which are slower, do not count


def probe(run: RunConfig) -> Pace:
    """The speed of a run's training here: without reading data, validation and checkpoints.

    Of a run on several GPUs, one does its share of each batch.  Raises RuntimeError where the model
    does not fit into the memory.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)  # as the rule of a training has it
    # What noise makes of an untrained model may be far beyond the thresholds of images.
    run = dataclasses.replace(run, train=dataclasses.replace(run.train, skip_threshold=1e30))
    model = build_model(run.model.with_pixel_moments(127.5, 64.0))
    training = Training(run, "none", model, device, Ranks())
    step = Step(training)
    model.train()
    size, highest = run.model.image_size, 2 if run.model.likelihood == "bernoulli" else 256
    batch = -(-run.train.batch_size // run.train.gpus)
    images = torch.randint(0, highest, (batch, run.model.image_channels, size, size))
    images = images.to(torch.uint8).to(device)

    def iteration(number: int) -> float:
        start = time.perf_counter()
        generators = image_generators(
            run.seed, Purpose.TRAINING_NOISE, number, images=range(batch), device=device
        )
        step(images, model.draw_noise(generators))
        training.read()  # which waits for the device
        return time.perf_counter() - start

    for number in range(step.slow_first):
        iteration(number)
    seconds: list[float] = []
    while len(seconds) < MOST_ITERATIONS and sum(seconds) < MOST_S:
        seconds.append(iteration(step.slow_first + len(seconds)))
    return Pace(
        seconds_per_iteration=sum(seconds) / len(seconds),
        device=new_segment(0, 1, device)["device"],
        gpus=run.train.gpus if device.type == "cuda" else 0,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )
