"""Files as trainings, evaluations and the workflow leave them, written without training."""

import hashlib
import json
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml
from examples import BINARY, MULTIPLE_32, RGB

from model.config import ModelConfig, TrainConfig
from model.definitions import DEFINITIONS
from model.measurement.block_norms import TABLE as BLOCK_NORMS
from model.measurement.bounds import TABLE as TEST
from model.measurement.instability import TABLE as INSTABILITY
from model.measurement.kept_images import write_images
from model.measurement.refinement import TABLE as REFINEMENT
from model.measurement.theory.conjugacy import TABLE as CONJUGACY
from model.measurement.theory.increments import TABLE as INCREMENTS
from model.measurement.theory.learnt import TABLE as LEARNT
from model.measurement.theory.regularisation import TABLE as REGULARISATION
from model.run_config import RunConfig
from model.training.history import TABLE as HISTORY
from study.__main__ import main
from study.planning.ablation import Ablation
from study.registry import ABLATION_OUTPUTS
from study.results import StudyResults

DATASETS: dict[str, dict[str, Any]] = {
    "digits": {
        "image_size": 8,
        "image_channels": 1,
        "likelihood": "bernoulli",
        "pixel_mean": 0.5,
        "pixel_std": 0.5,
        "encoder": "8x1,8d2,4x1,4d4,1x1",
        "decoder": "1x1,4m1,4x1,8m4,8x1",
    },
    "patches": {
        "image_size": 16,
        "image_channels": 3,
        "likelihood": "discretised_logistics",
        "pixel_mean": 120.0,
        "pixel_std": 64.0,
        "encoder": "16x1,16d2,8x1,8d2,4x1,4d4,1x1",
        "decoder": "1x1,4m1,4x1,8m4,8x1,16m8,16x1",
    },
    "mnist": {"image_size": 32, **BINARY, **MULTIPLE_32},
    "imagenet32": {"image_size": 32, **RGB, **MULTIPLE_32},
}
TRAIN = TrainConfig(
    iterations=2000,
    batch_size=32,
    learning_rate=2e-3,
    weight_decay=0.01,
    betas=(0.9, 0.9),
    warmup_iterations=100,
    ema_rate=0.999,
    gradient_clip=200.0,
    skip_threshold=400.0,
    diverged_after=50,
    validation_images=100,
    validate_every=100,
    log_every=50,
)


def write_run(
    results: Path,
    dataset: str = "digits",
    variant: str = "vdvae",
    seed: int = 0,
    *,
    nll: float = 80.0,
    status: str = "finished",
    num_images: int = 50,
    num_parameters: int = 106_689,
    importance_samples: int = 16,
    dataset_version: str = "scikit-learn-1",
    started: str = "2026-01-01T00:00:00+00:00",
    host: str = "node1",
    dataset_sha256: str = "d1" * 32,
    training_code: tuple[str, ...] = ("c0de" * 4, "c0de" * 4),  # of each segment
    evaluation_code: str = "e7a1" * 4,
    config: RunConfig | None = None,
    **differences: Any,
) -> Path:
    """Write what training and evaluation leave in a run directory; `nll` is in the run's unit."""
    if config is None:
        model = ModelConfig(**{"width": 32, "zdim": 8, **DATASETS[dataset], **differences})
        config = RunConfig(
            dataset=dataset,
            variant=variant,
            seed=seed,
            definitions=DEFINITIONS,
            model=model,
            train=TRAIN,
        )
    model = config.model
    directory = results / "runs" / dataset / variant / f"seed{seed}"
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(config.dump())
    random = np.random.default_rng([seed, *variant.encode()])
    nll_nats = nll if model.unit == "nats" else nll * log(2) * model.likelihood_dims
    steps = range(100, TRAIN.iterations + 1 if status == "finished" else 701, 100)
    training = {
        "status": status,
        "config_hash": config.hash,
        "dataset_sha256": dataset_sha256,
        "code_digest": training_code[-1],
        "step": steps[-1],
        "num_parameters": num_parameters,
        "stochastic_depth": model.stochastic_depth,
        "num_latents": model.num_latents,
        "skipped_updates": 3 + seed,
        "nonfinite_losses": 0,
        "resumes": len(training_code) - 1,
        "started": started,
        "wall_seconds": 12.5,
        "gpu_hours": 0.0,
        "peak_memory_bytes": 2**30,
        "settings": config.settings,
        "segments": [
            {
                "started": started,
                "host": host,
                "device": "CPU",
                "ranks": 1,
                "gpus": 0,
                "threads": 2,
                "git_commit": None,
                "git_dirty": None,
                "code_digest": digest,
                "versions": {"python": "3.11.7", "torch": "2.13.0", "numpy": "2.4.0", "cuda": None},
                "first_step": 100 * index,
                "last_step": 100 if index + 1 < len(training_code) else steps[-1],
                "seconds": 12.5 / len(training_code),
                "peak_memory_bytes": 2**30,
            }
            for index, digest in enumerate(training_code)
        ],
    }
    identity = {"config_hash": config.hash, "dataset_sha256": dataset_sha256}
    history = directory / "history.parquet"
    about = {**identity, "code_digest": training_code[-1]}
    _write_history(history, list(steps), nll_nats, random, about, diverges=status == "diverged")
    training["sha256"] = {history.name: hashlib.sha256(history.read_bytes()).hexdigest()}
    (directory / "train.json").write_text(json.dumps(training))
    about = {
        **identity,
        "code_digest": evaluation_code,
        "dataset_version": dataset_version,
        "importance_samples": str(importance_samples),
    }
    _write_test(directory, config, nll_nats, random, num_images, about)
    return directory


def _write_history(
    path: Path,
    steps: list[int],
    nll_nats: float,
    random: Any,
    about: dict[str, str],
    *,
    diverges: bool,
) -> None:
    noise = 0.002 * random.normal(size=len(steps))
    nll = nll_nats * (1 + 2 * np.exp(-np.array(steps) / 150) + noise)
    if diverges:
        nll[-3:] = nll_nats * np.array([1.2, 2.5, np.nan])
    rows = [
        {
            "step": step,
            "split": split,
            "weights": weights,
            "nll_nats": value + shift,
            "rate_nats": 0.25 * value,
            "distortion_nats": 0.75 * value,
            "gradient_norm": 30.0 if split == "train" else None,
            "learning_rate": 2e-3,
            "skipped_updates": 0,
        }
        for step, value in zip(steps, nll, strict=True)
        for split, weights, shift in [("train", "raw", 1.0), ("valid", "ema", 0.0)]
    ]
    HISTORY.write(HISTORY.of_rows(rows), path, about)


def _write_test(
    directory: Path,
    config: RunConfig,
    nll_nats: float,
    random: Any,
    num_images: int,
    about: dict[str, str],
) -> None:
    depth = config.model.stochastic_depth
    noise = random.normal(size=num_images)
    rates = 0.25 * nll_nats / depth * random.uniform(0.5, 1.5, size=(num_images, depth))
    rates = rates.astype(np.float32)
    nll = nll_nats + 0.1 * (noise - noise.mean())  # the mean is nll_nats
    rate = rates.sum(axis=1, dtype=np.float64)
    table = pa.table(
        {
            "image": pa.array(range(num_images), pa.int32()),
            "nll_nats": nll,
            "rate_nats": rate,
            "distortion_nats": nll - rate,
            "iw_nll_nats": nll - 1.0,
            "rate_per_layer_nats": pa.array(rates.tolist(), pa.list_(pa.float32())),
        }
    )
    TEST.write(table, directory / "test.parquet", about)


def write_probe(directory: Path, probe_code: str = "b10c" * 4) -> None:
    """Write what a probe leaves in a run directory, of two temperatures."""
    training = json.loads((directory / "train.json").read_text())
    about = {name: training[name] for name in ("config_hash", "dataset_sha256")}
    about["code_digest"] = probe_code
    norms: list[dict[str, Any]] = [
        {
            **dict.fromkeys(BLOCK_NORMS.schema.names, 1),
            "tower": tower,
            "block": block,
            "resolution": 4 * (1 + block),
            "norm": 1.0 + block,
        }
        for tower in ("bottom-up", "top-down")
        for block in range(2)
    ]
    BLOCK_NORMS.write(BLOCK_NORMS.of_rows(norms), directory / "block_norms.parquet", about)
    energies: list[dict[str, Any]] = [
        {
            **dict.fromkeys(INSTABILITY.schema.names, 1),
            "temperature": temperature,
            "resolution": resolution,
            "energy_samples": temperature,
        }
        for temperature in (0.5, 1.0)
        for resolution in (4, 8)
    ]
    INSTABILITY.write(INSTABILITY.of_rows(energies), directory / "instability.parquet", about)
    for table in (CONJUGACY, REGULARISATION, INCREMENTS):
        row = {**dict.fromkeys(table.schema.names, 1), "resolution": 8}
        row |= {"pooling": "average"} if table is CONJUGACY else {}
        table.write(table.of_rows([row]), directory / f"{table.name}.parquet", about)
    learnt: list[dict[str, Any]] = [
        {
            **dict.fromkeys(LEARNT.schema.names, 1),
            "images": images,
            "posterior_up_to": up_to,
            "resolution": resolution,
            "energy": 0.1 * resolution,
        }
        for images, up_to in [("test", None), *(("reconstructions", r) for r in (1, 4, 8))]
        for resolution in (1, 2, 4, 8)
    ]
    LEARNT.write(LEARNT.of_rows(learnt), directory / "learnt.parquet", about)
    samples = np.random.default_rng(0).integers(0, 255, (2, 8, 1, 8, 8), np.uint8)
    write_images(directory / "samples.npy", samples)
    write_images(directory / "learnt.npy", np.zeros((4, 8, 1, 8, 8), np.uint8))


def write_refinement(directory: Path, nll_nats: dict[int, list[float]], trained: int) -> None:
    """Write a run's bounds at other step sizes: two passes over each image, by repeats.

    The passes give a nat more and less than `nll_nats`, which is of each image.
    """
    training = json.loads((directory / "train.json").read_text())
    about = {name: training[name] for name in ("config_hash", "dataset_sha256")}
    rows: list[dict[str, Any]] = [
        {
            "is_trained": repeats == trained,
            "repeats": repeats,
            "stochastic_depth": 2 + 3 * repeats,
            "flops_per_image": 10**6 * repeats,
            "noise": noise,
            "image": image,
            "nll_nats": nll + 1 - 2 * noise,
            "rate_nats": 0.25 * nll,
            "rate_of_sigmas_nats": 0.05 * nll,
            "distortion_nats": 0.75 * nll,
        }
        for repeats, images in nll_nats.items()
        for noise in range(2)
        for image, nll in enumerate(images)
    ]
    path = directory / "refinement.parquet"
    REFINEMENT.write(REFINEMENT.of_rows(rows), path, about | {"code_digest": "e7a1" * 4})


def write_tables(results: Path, study: str = "fake") -> Path:
    """Collect all runs under `results` into its tables, by the command."""
    directories = sorted(map(str, results.glob("runs/*/*/seed*")))
    output = results / "tables"
    assert main(["collect", "--study", study, "--tables", str(output), *directories]) == 0
    return output


def write_ablation(
    results: Path,
    variants: dict[str, list[str]],
    name: str = "sharing",
    source: str | None = None,
) -> Path:
    """Write an ablation's file as the workflow does."""
    path = results / "ablations" / f"{name}.yaml"
    path.parent.mkdir(exist_ok=True)
    content = {
        "study": "fake",
        "name": name,
        "title": "Weight sharing & 100 % more",
        "description": "Blocks applied r times.",
        "variants": variants,
        "seeds": {dataset: _num_seeds(results, dataset) for dataset in variants},
        "source": source,
    }
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def _num_seeds(results: Path, dataset: str) -> int:
    """How many seeds the variants of a dataset have, at least 1."""
    seeds = (path.name.removeprefix("seed") for path in results.glob(f"runs/{dataset}/*/seed*"))
    return 1 + max(map(int, seeds), default=0)


def comparison_results(results: Path, ablation: Ablation, **frames: pd.DataFrame) -> StudyResults:
    """What an ablation's comparison is made of; `frames` stand in for tables."""
    names = ABLATION_OUTPUTS["comparison"].tables
    read = StudyResults.of_runs(results, ablation.study, names, ablation.run_dirs(results))
    return StudyResults({**read.tables, **frames}, results / "runs")


def write_output(results: Path, name: str = "sharing", output: str = "comparison") -> int:
    """Write an output of an ablation, by the command; its exit code."""
    ablation = str(results / "ablations" / f"{name}.yaml")
    return main(["ablation", output, "--ablation", ablation, "--study-dir", str(results)])
