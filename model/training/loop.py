"""The training loop: a step depends on the state and its own number alone, so it can resume."""

import logging
import sys
import time
from collections.abc import Callable, Iterable
from math import isfinite
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
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
from model.training.stop import StopFlag
from model.training.warmup import kl_weight_at, learning_rate_at

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
    model, ema, optimiser = training.model, training.ema, training.optimiser
    ranks, device, curve = training.ranks, training.device, training.curve
    share = ranks.share(config.batch_size)  # this rank's positions in each batch
    first_step, started = progress.step, time.monotonic()
    last_save = started
    segment = new_segment(first_step, ranks.size, device)
    progress.segments.append(segment)

    def save() -> None:
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
    report = ProgressReport(training, checkpoints, report_to)
    model.train()
    with report, bar, logging_redirect_tqdm():
        while training.status == "running" and not ranks.any(stop.signal is not None, device):
            # An image's noise depends on its position in the batch of all ranks: how many they are
            # changes nothing but what layers such as dropout draw themselves.
            seed_layers(seed, progress.step, ranks.rank)
            images = batches.at(progress.step, share).to(device)  # uint8 [share, C, H, W]
            noise = model.draw_noise(
                image_generators(
                    seed, Purpose.TRAINING_NOISE, progress.step, images=share, device=device
                )
            )

            # The loss is the mean NLL over the whole batch, since the gradients of the ranks, each
            # with its own part of the batch, are averaged.
            bound = training.replica(images, noise)
            kl_weight = kl_weight_at(progress.step, config)
            weighted_nats = bound.distortion_nats + kl_weight * bound.rate_nats
            loss = weighted_nats.sum() * (ranks.size / config.batch_size / model.loss_dims)
            optimiser.zero_grad()
            loss.backward()
            gradient_norm = float(clip_grad_norm_(model.parameters(), config.gradient_clip))
            means = (ranks.sum(history.sums(bound)) / config.batch_size).tolist()
            del (
                noise,
                bound,
                weighted_nats,
                loss,
            )  # or they would take memory in the next forward pass

            # An update is skipped where the loss or its gradient is too large or not a number.
            learning_rate = learning_rate_at(progress.step, config)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate
            loss_is_finite = isfinite(means[0])
            progress.nonfinite_losses += not loss_is_finite
            is_finite = loss_is_finite and isfinite(gradient_norm)  # also without a threshold
            is_skipped = not (is_finite and gradient_norm <= config.skip_threshold)
            if is_skipped:
                progress.skipped_updates += 1
                progress.consecutive_skips += 1
                if progress.consecutive_skips == 1 and ranks.is_writer:
                    tell_of_skip(training, means[0], gradient_norm)
            else:
                optimiser.step()
                ema.update(model)
                progress.consecutive_skips = 0
            progress.step += 1
            curve.add_step(means, gradient_norm, is_skipped=is_skipped)
            bar.update()

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


def tell_of_skip(training: Training, nll_nats: float, gradient_norm: float) -> None:
    """Warn of the first of some skipped updates in a row."""
    config, step = training.run.train, training.progress.step
    log.warning(
        "step %d: update skipped, NLL %.4g nats, gradient norm %.4g (skip_threshold %g); after %d "
        "in a row the run ends as diverged",
        *(step, nll_nats, gradient_norm, config.skip_threshold, config.diverged_after),
    )


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
    row = training.curve.add_validation(progress.step, weights, means, progress.skipped_updates)
    report.add(row)
