"""The training of one run: step by step, saved so that it resumes bit for bit."""

import json
import logging
import signal
import sys
import time
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from model.config import EvaluateConfig, RunConfig
from model.data.batches import TrainingBatches
from model.files import write_bytes, write_text
from model.measurement.bounds import image_bounds
from model.network.hvae import HVAE
from model.randomness import Purpose, make_generator
from model.training import history
from model.training.checkpoints import Checkpoints
from model.training.ema import Ema
from model.training.provenance import describe, peak_memory_bytes
from model.training.ranks import STOP_SIGNALS, Ranks

log = logging.getLogger(__name__)

VALIDATION_BATCH = 100  # images; the noise of validation depends on it


@dataclass
class Progress:
    """What a training knows beside its weights; all of it is in the resume state."""

    step: int = 0  # batches seen
    skipped_updates: int = 0
    consecutive_skips: int = 0
    nonfinite_losses: int = 0
    resumes: int = 0
    wall_seconds: float = 0.0
    started: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    window: list[list[float]] = field(default_factory=list)  # rows since the last history row
    history: list[dict[str, Any]] = field(default_factory=list)


class StopFlag:
    """Remembers the first of the signals that ask a training to save and exit."""

    def __init__(self) -> None:
        self.signal: int | None = None
        for number in STOP_SIGNALS:
            signal.signal(number, self._set)

    def _set(self, number: int, frame: FrameType | None) -> None:
        # SLURM and the executor may both send one: the first is acted on, at the next step.
        if self.signal is None:
            self.signal = number


class Training:
    """A run in training: model, averaged weights, optimiser and progress, saved as one."""

    def __init__(self, run: RunConfig, device: torch.device, ranks: Ranks) -> None:
        self.run = run
        self.device = device
        self.ranks = ranks
        self.model = HVAE(run.model)
        self.model.initialise(make_generator(run.seed, Purpose.INITIALISATION))
        self.model.to(device)
        self.replica = ranks.replica(self.model, has_unused_parameters=self.model.has_unseen_blocks)
        self.ema = Ema(self.model, run.train.ema_rate)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(),
            lr=run.train.learning_rate,
            betas=run.train.betas,
            weight_decay=run.train.weight_decay,
            fused=True,
        )
        self.progress = Progress()
        # Discretised logistics are optimised in nats per dimension, so that the thresholds for
        # gradients do not depend on the image's size; Bernoulli in nats per image.
        self.loss_dims = 1 if run.model.likelihood == "bernoulli" else run.model.likelihood_dims

    @property
    def status(self) -> str:
        """`running`, `finished`, or `diverged` once too many updates in a row were skipped."""
        if self.progress.consecutive_skips >= self.run.train.diverged_after:
            return "diverged"
        return "finished" if self.progress.step >= self.run.train.iterations else "running"

    def state(self) -> dict[str, Any]:
        """Everything a resumed training needs to go on bit for bit."""
        return {
            "hash_without_length": self.run.hash_without_length,
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict(),
            "ema_updates": self.ema.updates,
            "optimiser": self.optimiser.state_dict(),
            "progress": asdict(self.progress),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state()` was taken."""
        self.model.load_state_dict(state["model"])
        self.ema.model.load_state_dict(state["ema"])
        self.ema.updates = state["ema_updates"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])

    def update(self, images: Tensor) -> None:
        """One step of the optimisation on a batch uint8 [B, C, H, W]; counts what it skips.

        The batch and its noise are those of all ranks, so that their number changes nothing.
        """
        config, progress = self.run.train, self.progress
        learning_rate = config.learning_rate * min(
            1.0, (progress.step + 1) / max(1, config.warmup_iterations)
        )
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate

        noise_of = make_generator(
            self.run.seed, Purpose.TRAINING_NOISE, progress.step, device=self.device
        )
        noise = self.model.draw_noise(len(images), noise_of)
        output = self.replica(
            self.ranks.shard(images).to(self.device), [self.ranks.shard(eps) for eps in noise]
        )
        # The average of the ranks' gradients is that of the mean over the whole batch.
        loss = output.nll_nats.sum() * (self.ranks.size / len(images) / self.loss_dims)
        self.optimiser.zero_grad()
        loss.backward()
        norm = float(clip_grad_norm_(self.model.parameters(), config.gradient_clip))
        sums = [output.nll_nats.sum(), output.rate_nats.sum(), output.distortion_nats.sum()]
        means = self.ranks.sum(torch.stack(sums).detach()) / len(images)

        is_finite = bool(means[0].isfinite())
        progress.nonfinite_losses += not is_finite
        if is_finite and norm <= config.skip_threshold:  # false for a norm that is not a number
            self.optimiser.step()
            self.ema.update(self.model)
            progress.consecutive_skips = 0
        else:
            progress.skipped_updates += 1
            progress.consecutive_skips += 1
        progress.step += 1
        progress.window.append([*means.tolist(), norm])
        if progress.step % config.log_every == 0:
            self._record_window(learning_rate)

    def _record_window(self, learning_rate: float) -> None:
        """Add the means over the last `log_every` batches to the history."""
        nll, rate, distortion, norm = torch.tensor(self.progress.window, dtype=torch.float64).mean(
            0
        )
        self.progress.window.clear()
        self._record("train", "raw", (nll, rate, distortion), float(norm), learning_rate)

    @torch.no_grad()
    def validate(self, images: Tensor) -> None:
        """Add the one-sample bound on validation images, with averaged and with raw weights."""
        config = EvaluateConfig(batch_size=VALIDATION_BATCH, importance_samples=1)
        for weights, model in (("ema", self.ema.model), ("raw", self.model)):
            bounds = image_bounds(model, images, config, self.run.seed, Purpose.VALIDATION_NOISE)
            means = (bounds.nll_nats, bounds.rate_nats, bounds.distortion_nats)
            self._record("valid", weights, tuple(x.mean() for x in means))

    def _record(
        self,
        split: str,
        weights: str,
        nll_rate_distortion: tuple[Tensor, ...],
        gradient_norm: float | None = None,
        learning_rate: float | None = None,
    ) -> None:
        nll, rate, distortion = (float(x) for x in nll_rate_distortion)
        self.progress.history.append(
            {
                "step": self.progress.step,
                "split": split,
                "weights": weights,
                "nll_nats": nll,
                "rate_nats": rate,
                "distortion_nats": distortion,
                "gradient_norm": gradient_norm,
                "learning_rate": learning_rate,
                "skipped_updates": self.progress.skipped_updates,
            }
        )
        log.info(
            "step %d/%d  %s %s  NLL %.3f nats (rate %.3f, distortion %.3f)  skipped %d",
            *(self.progress.step, self.run.train.iterations, split, weights),
            *(nll, rate, distortion, self.progress.skipped_updates),
        )


def resume(training: Training, checkpoints: Checkpoints) -> None:
    """Put a new training where its resume state left it; without a state, leave it at step 0.

    A longer `iterations` goes on from the state; a shorter one, or any other change of the config,
    starts afresh and sets the old state aside.
    """
    run, state = training.run, checkpoints.load()
    if state is None:
        return
    step = state["progress"]["step"]
    same = state["hash_without_length"] == run.hash_without_length
    if same and step <= run.train.iterations:
        training.restore(state)
        training.progress.resumes += training.status == "running"
        log.info("resumed at step %d", step)
    else:
        aside = checkpoints.set_aside(f"{state['hash_without_length']}-step{step}")
        reason = f"is at step {step}" if same else "belongs to another config"
        log.warning("the resume state %s: kept in %s, starting afresh", reason, aside)


def train(
    training: Training,
    batches: TrainingBatches,
    validation: Tensor,
    checkpoints: Checkpoints,
    stop: StopFlag,
    checkpoint_minutes: float,
) -> None:
    """Train until finished, diverged or told to stop; the last state is saved in every case."""
    config, progress, ranks = training.run.train, training.progress, training.ranks
    resumed_at, started = progress.wall_seconds, time.monotonic()
    last_save = started
    bar = tqdm(
        total=config.iterations,
        initial=progress.step,
        unit="step",
        disable=not (ranks.is_writer and sys.stderr.isatty()),
    )
    with bar, logging_redirect_tqdm():
        while training.status == "running" and not ranks.any(
            stop.signal is not None, training.device
        ):
            training.update(batches.at(progress.step))
            bar.update()
            if progress.step % config.validate_every == 0 or training.status != "running":
                training.validate(validation)
            now = time.monotonic()
            progress.wall_seconds = resumed_at + now - started
            if ranks.is_writer and now - last_save >= 60 * checkpoint_minutes:
                checkpoints.save(progress.step, training.state())
                last_save = now
    if ranks.is_writer:
        checkpoints.save(progress.step, training.state())


def write_results(run_dir: Path, training: Training) -> None:
    """Write the averaged weights, the learning curve and, last, `train.json`."""
    run, progress = training.run, training.progress
    tensors = {k: v.contiguous().cpu() for k, v in training.ema.model.state_dict().items()}
    write_bytes(run_dir / "model.safetensors", save(tensors, {"config_hash": run.hash}))
    curve = history.TABLE.of_rows(progress.history)
    history.TABLE.write(curve, run_dir / "history.parquet", {"config_hash": run.hash})
    is_cuda = training.device.type == "cuda"
    summary = {
        "status": training.status,
        "config_hash": run.hash,
        "num_parameters": training.model.num_parameters,
        "stochastic_depth": run.model.stochastic_depth,
        "num_latents": run.model.num_latents,
        **{
            f.name: getattr(progress, f.name)
            for f in fields(progress)
            if f.name not in ("window", "history", "consecutive_skips")
        },
        "gpu_hours": training.ranks.size * progress.wall_seconds / 3600 if is_cuda else 0.0,
        "peak_memory_bytes": peak_memory_bytes(training.device),
        **describe(training.device),
    }
    write_text(run_dir / "train.json", json.dumps(summary, indent=2) + "\n")
