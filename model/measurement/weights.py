"""Reading the weights of a run, and making sure that they are what the training wrote."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from model.data.sources import sha256_of
from model.table import ResultError

AGAIN = "delete it and give the same snakemake command again: it comes back from the state"


@dataclass(frozen=True)
class Weights:
    """The averaged weights of a run, as its training wrote them."""

    path: Path
    tensors: dict[str, Tensor]
    provenance: Mapping[str, Any]  # config_hash, dataset_sha256, code_digest, settings


def read_weights(run_dir: Path) -> Weights:
    """Read model.safetensors; raises ResultError, one line, unless train.json has its digest."""
    path, record = run_dir / "model.safetensors", run_dir / "train.json"
    for file in (path, record):
        if not file.is_file():
            raise ResultError(f"{file} is missing; train this run first (python -m model.train)")
    try:
        expected = json.loads(record.read_bytes())["sha256"][path.name]
    except (ValueError, TypeError, KeyError):
        raise ResultError(f"{record} is damaged; {AGAIN}") from None
    if sha256_of(path) != expected:
        raise ResultError(f"{path}: not the bytes whose sha256 is in train.json; {AGAIN}")
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return Weights(path, tensors, json.loads(file.metadata()["provenance"]))
    except SafetensorError as error:  # written by another version of safetensors
        raise ResultError(f"{path}: {error}; {AGAIN}") from None
