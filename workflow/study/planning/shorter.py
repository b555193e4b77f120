"""A finished run is not overwritten by a shorter trial."""

import json
from pathlib import Path

from model.run_config import RunConfig
from model.training.state_files import state_files
from model.validation import ConfigError
from study.planning.study import Study


def check_not_shorter(study: Study, results: Path) -> None:
    """Raise ConfigError if a run that went further would be trained to a shorter length.

    Going back to a length whose end was kept is no training, and is fine.
    """
    refused = []
    for run in study.runs:
        folder = results / study.name / "runs" / run.name
        config = study.run_config(run)
        done = _steps_overwritten(folder, config)
        if done:
            refused.append((folder, done, config.train.iterations))
    if refused:
        folder, done, iterations = refused[0]
        others = f" and {len(refused) - 1} more" if len(refused) > 1 else ""
        raise ConfigError(
            f"{folder}{others} finished {done} iterations, and {iterations} would overwrite the "
            "result; give the trial a study of its own in config.yaml, or move the folder away",
            place="iterations",
        )


def _steps_overwritten(folder: Path, config: RunConfig) -> int | None:
    """The steps of a finished training of these settings that a shorter one would overwrite."""
    iterations = config.train.iterations
    try:
        found = json.loads((folder / "train.json").read_bytes())
        step, settings = int(found["step"]), found["settings"]
        if step <= iterations or settings["definitions"] != config.definitions:
            return None
        if config.difference(settings) is not None:
            return None
        states = state_files(folder / "state" / config.identity(found["dataset_sha256"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None  # not trained yet, or damaged
    is_kept = any(file.is_end and file.step == iterations for file in states)
    return None if is_kept else step
