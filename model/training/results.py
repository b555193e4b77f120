"""The files that a training leaves: weights, learning curve, and what there is to say about it."""

import json
from pathlib import Path

from safetensors.torch import save

from model.data.sources import sha256_of
from model.files import write_bytes, write_text
from model.training import history
from model.training.provenance import totals
from model.training.state import Training


def write_results(run_dir: Path, training: Training, raw_sha256: str | None = None) -> None:
    """Write the averaged weights, the learning curve and, last, `train.json`.

    All of it is of the training's state: restored from it, the files are the same.  `raw_sha256` is
    that of the user's own files that the dataset was made of.
    """
    run, progress = training.run, training.progress
    identity = {
        "config_hash": run.hash,
        "dataset_sha256": training.dataset_sha256,
        "code_digest": progress.segments[-1]["code_digest"],
    }
    tensors = {k: v.contiguous().cpu() for k, v in training.ema.model.state_dict().items()}
    # One entry: safetensors writes several in an order that changes from process to process.
    about = {"provenance": json.dumps({**identity, "settings": training.settings})}
    weights = save(tensors, about)
    write_bytes(run_dir / "model.safetensors", weights)
    curve = history.TABLE.of_rows(training.curve.rows(run.train))
    history.TABLE.write(curve, run_dir / "history.parquet", identity)
    summary = {
        "status": training.status,
        **identity,
        "raw_sha256": raw_sha256,
        "num_parameters": training.model.num_parameters,
        "stochastic_depth": run.model.stochastic_depth,
        "num_latents": run.model.num_latents,
        "step": progress.step,
        "skipped_updates": progress.skipped_updates,
        "nonfinite_losses": progress.nonfinite_losses,
        **totals(progress.segments),
        "sha256": {
            name: sha256_of(run_dir / name) for name in ("model.safetensors", "history.parquet")
        },
        "settings": training.settings,
        "segments": progress.segments,
    }
    write_text(run_dir / "train.json", json.dumps(summary, indent=2) + "\n")
