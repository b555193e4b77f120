"""The training loop: a step depends on the state and its own number alone, so it can resume."""

import logging
import sys
import time
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from model.data.batches import TrainingBatches
from model.network.generative_model import GenerativeModel
from model.randomness import Purpose, image_generators, seed_layers
from model.training import history
from model.training.checkpoints import Checkpoints
from model.training.curve_writers import WriterName
from model.training.progress import ProgressReport
from model.training.provenance import new_segment, peak_memory_bytes
from model.training.state import Training
from model.training.step import Step
from model.training.stop import StopFlag

log = logging.getLogger(__name__)

VALIDATION_BATCH = 100  # images


def train(
    training: Training,
    batches: TrainingBatches,
    validation: Tensor,
    checkpoints: Checkpoints,
    stop: StopFlag,
    checkpoint_minutes: float,
    report_to: Iterable[WriterName] = (),
) -> None:
    """Train until finished, diverged or told to stop; the last state is saved in every case.

    `validation` are images uint8 [N, C, H, W].
    """
    seed, config, progress = training.run.seed, training.run.train, training.progress
    model, ema = training.model, training.ema
    ranks, device = training.ranks, training.device
    share = ranks.share(config.batch_size)  # this rank's positions in each batch
    first_step, started = progress.step, time.monotonic()
    last_save = started
    segment = new_segment(first_step, ranks.size, device)
    progress.segments.append(segment)

    def save() -> None:
        training.read()  # waits for the device: its steps are part of the seconds
        segment["last_step"], segment["seconds"] = progress.step, time.monotonic() - started
        segment["peak_memory_bytes"] = peak_memory_bytes(device)
        is_end = training.status != "running"
        checkpoints.save(progress.step, training.state(), is_end=is_end)

    bar = tqdm(
        total=config.iterations,
        initial=progress.step,
        unit="step",
        disable=not (ranks.is_writer and sys.stderr.isatty()),
    )
    step = Step(training)
    report = ProgressReport(training, checkpoints, report_to)
    model.train()
    with report, bar, logging_redirect_tqdm():
        while training.status == "running" and not ranks.any(stop.signal is not None):
            # An image's noise depends on its position in the batch of all ranks: how many they are
            # changes nothing but what layers such as dropout draw themselves.
            seed_layers(seed, progress.step, ranks.rank)
            images = batches.at(progress.step, share)  # uint8 [share, C, H, W]
            if device.type == "cuda":
                images = images.pin_memory()  # or the host would wait for the copy
            images = images.to(device, non_blocking=True)
            noise = model.draw_noise(
                image_generators(
                    seed, Purpose.TRAINING_NOISE, progress.step, images=share, device=device
                )
            )

            step(images, noise)
            del images, noise  # or they would take memory in the next step
            bar.update()
            if progress.step % config.log_every == 0:
                training.read()

            # What is due after this step.
            report.after_step()
            if progress.step % config.validate_every == 0 or training.status != "running":
                ema_means = validate(ema.model, validation, seed, report.in_validation)
                record_validation(training, report, "ema", ema_means)
                raw_means = validate(model, validation, seed, report.in_validation)
                record_validation(training, report, "raw", raw_means)
                model.train()
            now = time.monotonic()
            if ranks.is_writer and now - last_save >= 60 * checkpoint_minutes:
                save()
                last_save = now
        if ranks.is_writer and progress.step > first_step:
            save()


@torch.inference_mode()
def validate(
    model: GenerativeModel,
    images: Tensor,
    seed: int,
    tell: Callable[[int, int], None] = lambda done, images: None,
) -> list[float]:
    """Mean NLL, rate and distortion of images uint8 [N, C, H, W], in nats per image.

    The noise depends on the seed and the image's index alone; the model is left in evaluation mode.
    `tell` is called after each batch.
    """
    model.eval()
    distortions, rates = [], []
    for start in range(0, len(images), VALIDATION_BATCH):
        batch = images[start : start + VALIDATION_BATCH].to(model.device)
        indices = range(start, start + len(batch))
        noise = model.draw_noise(
            image_generators(seed, Purpose.VALIDATION_NOISE, images=indices, device=model.device)
        )
        bound = model(batch, noise)
        distortions.append(bound.distortion_nats.double().cpu())
        rates.append(bound.rate_per_layer_nats.double().cpu())
        tell(indices.stop, len(images))
    distortion, rate = torch.cat(distortions), torch.cat(rates).sum(dim=1)
    return [float((distortion + rate).mean()), float(rate.mean()), float(distortion.mean())]


def record_validation(
    training: Training, report: ProgressReport, weights: Literal["raw", "ema"], means: history.Means
) -> None:
    """Add a validation to the learning curve, and tell of it."""
    progress = training.progress
    training.read()
    row = training.curve.add_validation(progress.step, weights, means, progress.skipped_updates)
    report.add(row)
