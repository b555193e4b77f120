"""What a training consists of, and how it is saved and restored as one."""

import dataclasses
import logging
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal

import torch
from torch import Tensor

from model.network.generative_model import GenerativeModel
from model.randomness import Purpose, make_generator
from model.run_config import RunConfig
from model.training.checkpoints import Checkpoints
from model.training.ema import Ema
from model.training.history import Curve
from model.training.optimiser import AdamW
from model.training.ranks import Ranks

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What a training counts; all of it is in the resume state."""

    step: int = 0  # batches seen
    skipped_updates: int = 0
    consecutive_skips: int = 0
    nonfinite_losses: int = 0
    # One for each process that trained, see provenance.py.
    segments: list[dict[str, Any]] = field(default_factory=list)


class Training:
    """A run in training: model, averaged weights, optimiser, progress and learning curve.

    The model is initialised from the run's seed and moved to the device.
    """

    def __init__(
        self,
        run: RunConfig,
        dataset_sha256: str,
        model: GenerativeModel,
        device: torch.device,
        ranks: Ranks,
    ) -> None:
        model.initialise(make_generator(run.seed, Purpose.INITIALISATION))
        self.run = run
        # All of them, what the data decide too: the model's config has it.
        self.settings = dataclasses.replace(run, model=model.config).settings
        self.dataset_sha256 = dataset_sha256
        self.device = device
        self.ranks = ranks
        self.model = model.to(device)
        self.ema = Ema(self.model, run.train.ema_rate)
        self.replica = ranks.replica(self.model)
        self.optimiser = AdamW(
            self.model.parameters(),
            lr=run.train.learning_rate,
            betas=run.train.betas,
            weight_decay=run.train.weight_decay,
        )
        self.progress = Progress()
        self.curve = Curve()
        self._unread: list[Tensor] = []  # what the last steps have left on the device

    def add_step(self, numbers: Tensor) -> None:
        """Count a step that was taken; its numbers [5], as `Curve` has them, are read later."""
        self.progress.step += 1
        self._unread.append(numbers)

    def read(self) -> None:
        """Take what the last steps have left on the device, for which the host waits here."""
        if not self._unread:
            return
        progress = self.progress
        first = progress.step - len(self._unread)
        rows, self._unread = torch.stack(self._unread).tolist(), []
        for step, (nll, *_, gradient_norm, is_skipped) in enumerate(rows, first):
            progress.nonfinite_losses += not isfinite(nll)
            progress.skipped_updates += bool(is_skipped)
            progress.consecutive_skips = progress.consecutive_skips + 1 if is_skipped else 0
            if progress.consecutive_skips == 1 and self.ranks.is_writer:
                self._tell_of_skip(step, nll, gradient_norm)
        self.curve.add_steps(rows)

    def _tell_of_skip(self, step: int, nll_nats: float, gradient_norm: float) -> None:
        """Warn of the first of some skipped updates in a row."""
        config = self.run.train
        log.warning(
            "step %d: update skipped, NLL %.4g nats, gradient norm %.4g (skip_threshold %g); after "
            "%d in a row the run ends as diverged",
            *(step, nll_nats, gradient_norm, config.skip_threshold, config.diverged_after),
        )

    @property
    def status(self) -> Literal["running", "finished", "diverged"]:
        """`diverged` means that too many updates in a row were skipped.

        Where that may be so by now, the last steps are read.
        """
        config = self.run.train
        if self.progress.consecutive_skips + len(self._unread) >= config.diverged_after:
            self.read()  # it may have diverged just now, and not before
        if self.progress.consecutive_skips >= config.diverged_after:
            return "diverged"
        return "finished" if self.progress.step >= config.iterations else "running"

    def state(self) -> dict[str, Any]:
        """Everything a resumed training needs to go on bit for bit, and what it is the state of."""
        self.read()
        return {
            "settings": self.settings,
            "dataset_sha256": self.dataset_sha256,
            "model": self.model.state_dict(),
            "ema": self.ema.model.state_dict(),
            "ema_updates": int(self.ema.updates),
            "optimiser": self.optimiser.state_dict(),
            "progress": dataclasses.asdict(self.progress),
            "curve": self.curve.state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state()` was taken."""
        self.model.load_state_dict(state["model"])
        self.ema.model.load_state_dict(state["ema"])
        self.ema.updates.fill_(state["ema_updates"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        self.curve = Curve.of_state(state["curve"])
        if self.status != "running":
            # What it was trained with, `log_every` and the like too, whatever stands there now.
            length = {"iterations": self.run.train.iterations}
            recorded = state["settings"]
            self.settings = {**recorded, "train": {**recorded["train"], **length}}
            train = RunConfig.of_settings(self.settings).train
            self.run = dataclasses.replace(self.run, train=train)


def resume(training: Training, checkpoints: Checkpoints) -> None:
    """Put a new training where its resume state left it; without a state, leave it at step 0.

    Another length goes on from the newest state on its way.
    """
    run = training.run
    state = checkpoints.load(run.train.iterations, lambda state: run.difference(state["settings"]))
    if state is not None:
        training.restore(state)
        log.info("resumed at step %d", training.progress.step)
    elif checkpoints.holds_others():
        log.info(
            "starting at step 0: the states in %s are of other settings, data or a longer "
            "training, and stay there",
            checkpoints.directory,
        )
