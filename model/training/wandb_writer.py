"""The learning curve as an offline run of Weights & Biases; imports its package."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import wandb

from model.run_config import RunConfig


class WandbWriter:
    """One folder `wandb/offline-run-*`, which `wandb sync` sends; nothing else reaches out.

    The run's id is the name of the folder: the identity of the training.
    """

    def __init__(self, folder: Path, run: RunConfig) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder / "wandb", ignore_errors=True)
        self._run = wandb.init(
            mode="offline",
            dir=folder,
            id=folder.name,
            name=f"{run.dataset}/{run.variant}/seed{run.seed}",
            group=f"{run.dataset}/{run.variant}",
            config=run.settings,
            settings=wandb.Settings(
                console="off",  # the log stays where it is
                disable_code=True,
                disable_git=True,
                x_disable_stats=True,
                silent=True,
            ),
        )

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Write the numbers of a step."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """Finish the folder."""
        self._run.finish()
