"""What a training consists of, and how it is saved and restored as one."""

import logging
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import torch

from model.config import RunConfig
from model.network.generative_model import GenerativeModel
from model.randomness import Purpose, make_generator
from model.training.checkpoints import Checkpoints
from model.training.ema import Ema
from model.training.ranks import Ranks

log = logging.getLogger(__name__)


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
    # Of each batch since the last history row: NLL, rate, distortion, gradient norm.
    window: list[list[float]] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)  # rows of history.py


class Training:
    """A run in training: model, averaged weights, optimiser and progress.

    The model is initialised from the run's seed and moved to the device.
    """

    def __init__(
        self, run: RunConfig, model: GenerativeModel, device: torch.device, ranks: Ranks
    ) -> None:
        model.initialise(make_generator(run.seed, Purpose.INITIALISATION))
        self.run = run
        self.device = device
        self.ranks = ranks
        self.model = model.to(device)
        self.ema = Ema(self.model, run.train.ema_rate)
        self.replica = ranks.replica(self.model)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(),
            lr=run.train.learning_rate,
            betas=run.train.betas,
            weight_decay=run.train.weight_decay,
            fused=True,
        )
        self.progress = Progress()

    @property
    def status(self) -> Literal["running", "finished", "diverged"]:
        """`diverged` means that too many updates in a row were skipped."""
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
