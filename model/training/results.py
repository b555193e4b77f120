"""The files that a training leaves: weights, learning curve, and what there is to say about it."""

import json
from dataclasses import fields
from pathlib import Path

from safetensors.torch import save

from model.files import write_bytes, write_text
from model.training import history
from model.training.provenance import describe, peak_memory_bytes
from model.training.state import Training


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
