"""The table `theory`: verdicts of the numbers that were measured, and how they read."""

from math import nan
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from examples import example_model, random_images
from written_results import write_probe, write_run

from model.config import ModelConfig
from model.measurement.block_norms import TABLE as BLOCK_NORMS
from model.measurement.block_norms import block_rows
from model.measurement.theory.conjugacy import TABLE as CONJUGACY
from model.measurement.theory.increments import TABLE as INCREMENTS
from model.measurement.theory.increments import increment_rows
from model.measurement.theory.regularisation import TABLE as REGULARISATION
from model.network.hvae import HVAE
from model.table import Table
from study.__main__ import main
from study.collecting.run_result import RunResult
from study.planning.study import Run, Study
from study.tables import theory

ROOT = Path(__file__).parents[2]

POOLINGS: list[dict[str, Any]] = [
    {
        "resolution": resolution,
        "factor": factor,
        "detail_energy": 2.0,
        "lipschitz_lower": 2.0,
        "lipschitz_upper": 10.0,
        "distance_lower": 0.1,
        "distance_paired": 0.8,
        "energy_above": above,
        "distance_pooled_images": above,
        "distance_pooled_images_paired": above,
        "distance_pooled_reconstructions": above * 1.5,
    }
    for resolution, factor, above in [(8, 2, 0.4), (4, 4, 0.7)]
]


def write(directory: Path, table: Table, *rows: dict[str, Any]) -> None:
    """A run's table in the place of the one that is there; columns not given are 1."""
    about = RunResult.read(directory).table(table.name).schema.metadata
    kept = {
        k.decode(): v.decode() for k, v in about.items() if k not in (b"table", b"schema_version")
    }
    filled = [{**dict.fromkeys(table.schema.names, 1), **row} for row in rows]
    table.write(table.of_rows(filled), directory / f"{table.name}.parquet", kept)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = write_run(tmp_path)
    write_probe(directory)
    exact = {"pooling": "average", "conjugacy_error": 1e-15, "energy_sum_error": 1e-14}
    sizes = [(8, 2), (4, 2), (4, 4), (2, 2)]
    pairs = [{**exact, "resolution": size, "factor": factor} for size, factor in sizes]
    write(directory, CONJUGACY, *pairs)
    write(directory, REGULARISATION, *POOLINGS)
    blocks = [(1, 0.0), (4, 5.4), (4, 5.4), (8, 0.0)]
    norms = [
        {"resolution": size, "initial_norm": norm, "euler_error": 1e-7} for size, norm in blocks
    ]
    write(directory, INCREMENTS, *norms)
    return directory


def rows(directory: Path) -> pd.DataFrame:
    return theory.TABLE.of_rows(theory.rows(RunResult.read(directory))).to_pandas()


def verdicts(directory: Path, statement: str) -> dict[int | None, str]:
    of = rows(directory).query("statement == @statement")
    sizes = [None if pd.isna(size) else int(size) for size in of["resolution"]]
    return dict(zip(sizes, of["verdict"], strict=True))


def test_what_is_exact_holds(run: Path) -> None:
    assert verdicts(run, theory.PROJECTION) == {8: "holds", 4: "holds", 2: "holds"}
    assert verdicts(run, theory.SUM) == {None: "holds"}
    assert verdicts(run, theory.BOUND) == {8: "holds", 4: "holds"}
    assert verdicts(run, theory.STEPS) == {None: "holds"}


def test_the_inequality_is_the_sum_over_the_poolings(run: Path) -> None:
    of = rows(run).query("statement == @theory.INEQUALITY")
    assert list(of["left_lower"]) == pytest.approx([0.02, 0.02, 0.04])
    assert list(of["left_upper"]) == pytest.approx([0.5, 0.5, 1.0])
    assert set(of["right_lower"]) == {0.1}
    assert set(of["right_upper"]) == {0.8}
    assert set(of["verdict"]) == {"inconclusive"}


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        ({"lipschitz_lower": 9.0}, "consistent"),
        ({"distance_lower": 0.0, "distance_paired": 0.01}, "violated"),
        ({"lipschitz_lower": 0.0}, "inconclusive"),
        ({"lipschitz_upper": nan, "lipschitz_lower": nan}, "inconclusive"),
    ],
)
def test_brackets_decide_the_inequality(
    run: Path, difference: dict[str, float], verdict: str
) -> None:
    write(run, REGULARISATION, *({**pooling, **difference} for pooling in POOLINGS))
    assert verdicts(run, theory.INEQUALITY)[None] == verdict


@pytest.mark.parametrize(
    "difference",
    [
        {"distance_pooled_reconstructions": 0.399},  # nearer than the theorem lets anything be
        {"distance_pooled_images": 0.39},
        {"distance_pooled_images_paired": 0.41},
        {"distance_pooled_images": nan},
        {"distance_pooled_reconstructions": nan},
    ],
)
def test_a_broken_bound_is_violated(run: Path, difference: dict[str, float]) -> None:
    write(run, REGULARISATION, {**POOLINGS[0], **difference}, POOLINGS[1])
    assert verdicts(run, theory.BOUND) == {8: "violated", 4: "holds"}


def test_an_error_of_one_factor_is_seen_at_its_resolution(run: Path) -> None:
    exact = {"pooling": "average", "conjugacy_error": 1e-15, "energy_sum_error": 1e-3}
    wrong = {**exact, "conjugacy_error": 0.01}
    pairs = [{**exact, "resolution": 4, "factor": 2}, {**wrong, "resolution": 4, "factor": 4}]
    write(run, CONJUGACY, *pairs)
    assert verdicts(run, theory.PROJECTION) == {4: "violated"}
    assert verdicts(run, theory.SUM) == {None: "violated"}


def test_a_learnt_initial_state_and_a_cell_without_steps_are_violations(run: Path) -> None:
    assert verdicts(run, theory.START) == {1: "consistent", 4: "violated", 8: "consistent"}
    write(run, INCREMENTS, {"resolution": 8, "initial_norm": 0.0, "euler_error": 0.5})
    assert verdicts(run, theory.STEPS) == {None: "violated"}


def test_the_table_as_it_is_read(run: Path, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    command = ["collect", "--runs", "probed", "--study", "fake", "--tables", str(tables)]
    assert main([*command, str(run)]) == 0
    stored = pd.read_parquet(tables / "theory.parquet")
    pd.testing.assert_frame_equal(stored[theory.TABLE.schema.names], rows(run))
    line = (tables / "theory.md").read_text().splitlines()[-1]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[:3] == ["digits", "vdvae", "0"]
    assert cells[3:8] == ["holds", "holds", "inconclusive", "0.04 to 1 ≤ 0.1 to 0.8", "holds"]
    assert cells[8:10] == ["2 consistent, 1 violated", "1: 0, 4: 5.4, 8: 0"]
    text = (tables / "theory.tex").read_text()
    assert r"digits & vdvae & 0 & holds & holds & inconclusive & 0.04 to 1 $\le$ 0.1" in text
    assert "norm of Z\\_0" in text
    assert "different code" not in text


def test_a_model_without_towers_has_no_rows(run: Path) -> None:
    for table in (CONJUGACY, REGULARISATION, INCREMENTS):
        write(run, table)
    assert list(rows(run)["statement"]) == [theory.RISE]


def model_verdicts(model: HVAE, directory: Path) -> dict[str, set[str]]:
    """What a model says of Theorems 4 and 5, measured and tabulated as a run's."""
    images = random_images(20)
    write(directory, INCREMENTS, *increment_rows(model, images, seed=0))
    write(directory, BLOCK_NORMS, *block_rows(model, images, seed=0))
    statements = (theory.STEPS, theory.START, theory.RISE)
    return {name: set(verdicts(directory, name).values()) for name in statements}


def planned(variant: str) -> ModelConfig:
    study = Study.load(ROOT / "config.yaml", "small")
    return study.run_config(Run("digits", variant, 0)).model


def moved(config: ModelConfig) -> HVAE:
    """A model every weight of which has moved, as by training."""
    model, random = HVAE(config), torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.1, generator=random)
    return model


def test_a_model_that_starts_at_0_is_consistent_with_theorem_5(run: Path) -> None:
    """The variant `initial-zero`, which has the fewer parameters."""
    learnt, zero = moved(planned("x1")), moved(planned("initial-zero"))
    assert model_verdicts(learnt, run)[theory.START] == {"violated"}
    assert model_verdicts(zero, run)[theory.START] == {"consistent"}
    states = sum(16 * size**2 for size in (1, 4, 8))  # width 16
    assert learnt.num_parameters - zero.num_parameters == states


@pytest.mark.parametrize(("factor", "verdict"), [(1.0, "holds"), (0.5, "violated")])
def test_a_scaled_state_is_no_euler_step(factor: float, verdict: str, run: Path) -> None:
    """Each block hands on the state times a factor."""
    model = example_model()
    for block in model.top_down.blocks:
        block.register_forward_hook(lambda _block, _inputs, out: (factor * out[0], out[1]))
    assert model_verdicts(model, run)[theory.STEPS] == {verdict}


def test_a_normalised_state_cannot_rise(run: Path) -> None:
    found = model_verdicts(example_model(state_norm="l2", repeats=2), run)
    assert found[theory.RISE] == {"violated"}
    assert found[theory.STEPS] == {"holds"}
