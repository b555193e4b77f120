"""The table of a run's bounds at other step sizes, as the command writes it."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from examples import tiny_run

from model.evaluate import main as evaluate
from model.refine import main
from model.train import main as train


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    (directory / "config.yaml").write_text(tiny_run(model={"repeats": 2}).dump())
    assert train([str(directory), "--data-dir", str(data_dir), "--device", "cpu"]) == 0
    return directory


def test_each_step_is_evaluated_and_the_trained_one_is_that_of_the_evaluation(
    trained: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(trained), "--data-dir", str(data_dir), "--device", "cpu"]
    counts = ["--num-images", "20", "--num-noises", "3", "--batch-size", "8"]
    assert main([*arguments, "--repeats", "4", "1", *counts]) == 0
    assert "5 stochastic layers: NLL" not in capsys.readouterr().out.splitlines()[-1]
    table = pq.read_table(trained / "refinement.parquet").to_pandas()
    sizes = table.groupby("repeats").agg(
        rows=("image", "size"),
        depth=("stochastic_depth", "first"),
        flops=("flops_per_image", "first"),
    )
    assert sizes["rows"].to_dict() == {1: 60, 2: 60, 4: 60}
    assert sizes["depth"].to_dict() == {1: 5, 2: 8, 4: 14}
    flops = sizes["flops"]
    assert (flops[4] - flops[2]) == 2 * (flops[2] - flops[1]) > 0  # the same blocks, more often
    assert set(table["repeats"][table["is_trained"]]) == {2}
    np.testing.assert_allclose(table["nll_nats"], table["rate_nats"] + table["distortion_nats"])
    assert (table["rate_of_sigmas_nats"] <= table["rate_nats"]).all()

    assert evaluate([*arguments, "--batch-size", "8"]) == 0
    test = pq.read_table(trained / "test.parquet").to_pandas()[:20]
    first = table[table["is_trained"] & (table["noise"] == 0)]
    for name in ("nll_nats", "rate_nats", "distortion_nats"):
        assert first[name].tolist() == test[name].tolist()
    second = table[table["is_trained"] & (table["noise"] == 1)]
    assert (second["nll_nats"].to_numpy() != first["nll_nats"].to_numpy()).all()


def test_a_run_without_steps_is_refused_in_one_line(
    tmp_path: Path, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(tiny_run(model={"state_norm": "l2"}).dump())
    arguments = [str(tmp_path), "--data-dir", str(data_dir), "--device", "cpu"]
    assert train(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "--repeats", "2"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: state_norm: l2 leaves no step")
    assert error.count("\n") == 1
    assert not (tmp_path / "refinement.parquet").exists()
