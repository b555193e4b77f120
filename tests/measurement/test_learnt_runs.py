"""Measurements of models that have learnt something: x1 and r5 after 1,000 iterations on MNIST.

Their files lie in tests/data/results as `snakemake` wrote them (docs/results-mnist.md), without
those that hold images of the dataset: binarised samples of x1 stand for these.
"""

import shutil
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from model import sample
from model.config import ProbeConfig, RefineConfig
from model.measurement import block_norms, instability, refinement
from model.measurement.samples import sample_images
from model.measurement.trained import Probe, Refinement, TrainedRun
from model.network.families import build_model
from model.network.hvae import HVAE
from model.randomness import Purpose, image_generators
from study.__main__ import main

RESULTS = Path(__file__).parents[1] / "data" / "results"
RUNS = RESULTS / "mnist-cpu" / "runs" / "mnist"
MARGIN = slice(2, 30)  # the pixels that the likelihood covers


@cache
def learnt(variant: str) -> TrainedRun:
    """The run, with samples of x1 as its test images."""
    run = TrainedRun.load(RUNS / variant / "seed0", RESULTS, torch.device("cpu"))
    run.__dict__["test_images"] = sampled_images()
    return run


@cache
def sampled_images() -> Tensor:
    """40 binary images that x1 has drawn, uint8 [40, 1, 32, 32], their padding black."""
    model = TrainedRun.load(RUNS / "x1" / "seed0", RESULTS, torch.device("cpu")).model
    (white,) = sample_images(model, (1.0,), 40, seed=0)
    uniform = torch.rand(white.shape, generator=torch.Generator().manual_seed(0))
    images = torch.zeros_like(white)
    images[..., MARGIN, MARGIN] = (uniform * 255 < white)[..., MARGIN, MARGIN].to(torch.uint8)
    return images


@torch.inference_mode()
def mean_nll(model: HVAE) -> float:
    images = sampled_images()
    noise = model.draw_noise(image_generators(0, Purpose.TEST_NOISE, 0, images=range(len(images))))
    return float(model(images, noise).nll_nats.mean())


def test_a_person_can_look_at_them(capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--study", "mnist-cpu", "--results", str(RESULTS)]
    assert main(["show", "mnist/r5/seed0", *where]) == 0
    shown = capsys.readouterr().out
    assert "mnist/r5/seed0: finished after 1,000 steps" in shown
    (end,) = [line for line in shown.splitlines() if line.startswith("valid    1000")]
    assert end.split()[2] == "95.6710"


def test_samples_are_strokes_on_black(tmp_path: Path) -> None:
    """Those of an untrained model are grey."""
    run = shutil.copytree(RUNS / "x1" / "seed0", tmp_path / "run")
    kept = (run / "samples.png").read_bytes()
    (run / "samples.png").unlink()
    model = learnt("x1").model
    untrained = build_model(model.config)
    untrained.initialise(torch.Generator().manual_seed(0))
    found = {}
    for name, of in (("learnt", model), ("untrained", untrained.eval())):
        white = sample_images(of, (1.0,), 40, seed=0)[..., MARGIN, MARGIN] / 255
        found[name] = (float(white.mean()), float(((white < 0.1) | (white > 0.9)).double().mean()))
    # 13 % of the pixels of MNIST's digits are white, and few are in between.
    assert 0.09 < found["learnt"][0] < 0.17
    assert found["learnt"][1] > 0.8
    assert found["untrained"][1] < 0.1
    assert sample.main([str(run), "--temperatures", "0.5", "--columns", "2"]) == 0
    assert (run / "samples.png").stat().st_size < len(kept)


def test_finer_steps_keep_the_bound_and_unscaled_ones_lose_it() -> None:
    """The claim of docs/results-mnist.md, on images that the model has not been trained on."""
    run = learnt("r5")
    config = RefineConfig(num_images=40, num_noises=1)
    means = {
        repeats: [row["nll_nats"] for row in rows]
        for repeats, rows in by_repeats(Refinement(run, config, (1, 10), 40)).items()
    }
    trained = sum(means[5]) / 40
    assert isinstance(run.model, HVAE)
    assert trained == pytest.approx(mean_nll(run.model), abs=1e-3)
    assert abs(sum(means[10]) / 40 - trained) < 3  # -1.2 nats, with a standard error of 1.8
    assert 15 < sum(means[1]) / 40 - trained < 50  # +28 nats, 2.8
    unscaled = build_model(replace(run.model.config, repeats=10))
    unscaled.load_state_dict(run.model.state_dict())
    assert isinstance(unscaled, HVAE)
    assert mean_nll(unscaled.eval()) - trained > 200  # +395 nats


def by_repeats(measured: Refinement) -> dict[int, list[dict[str, float]]]:
    rows: dict[int, list[dict[str, float]]] = {}
    for row in refinement.rows(measured):
        rows.setdefault(row["repeats"], []).append(row)
    return rows


def test_probes_find_on_samples_what_was_found_on_digits() -> None:
    """Norms of the states, and the energy of each resolution, to a fifth and to a half."""
    probe = Probe(learnt("x1"), ProbeConfig(num_samples=40, temperatures=(1.0,)))
    norms = {(row["tower"], row["block"]): row["norm"] for row in block_norms.rows(probe)}
    kept = read("x1", "block_norms")
    assert norms == pytest.approx(
        {(row["tower"], row["block"]): row["norm"] for row in kept}, rel=0.2
    )
    energies = {row["resolution"]: row["energy_samples"] for row in instability.rows(probe)}
    kept = [row for row in read("x1", "instability") if row["temperature"] == 1.0]
    assert energies == pytest.approx(
        {row["resolution"]: row["energy_samples"] for row in kept}, rel=0.5
    )


def read(variant: str, table: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(
        RUNS / variant / "seed0" / f"{table}.parquet"
    ).to_pylist()  # type: ignore[no-untyped-call]
    return rows
