"""NLL against blocks, repeats and latents: the numbers, and the picture."""

from pathlib import Path

import pandas as pd
import pytest
from written_results import write_ablation, write_output, write_run, write_tables

NLL = {"x1": 90.0, "x2": 88.5, "x4": 87.5, "r2": 88.9, "r5": 87.9, "r20": 87.0}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for dataset in ("digits", "mnist"):
        for variant, nll in NLL.items():
            count = int(variant[1:])
            option = {"blocks": count} if variant.startswith("x") else {"repeats": count}
            for seed in (0, 1):
                write_run(tmp_path, dataset, variant, seed, nll=nll + 0.2 * seed, **option)
    write_tables(tmp_path)
    write_ablation(tmp_path, {"digits": list(NLL), "mnist": list(NLL)}, "blocks-and-repeats")
    return tmp_path


def test_numbers_and_figure(results: Path) -> None:
    assert write_output(results, "blocks-and-repeats", "scaling") == 0
    table = pd.read_parquet(results / "tables" / "blocks-and-repeats-scaling.parquet")
    mnist = table[table["dataset"] == "mnist"].set_index(["series", "variant"])
    assert list(mnist.loc["blocks", "applications"]) == [1, 2, 4]
    assert list(mnist.loc["repeats", "applications"]) == [1, 2, 5, 20]
    runs = pd.read_parquet(results / "tables" / "runs.parquet")
    of_r5 = runs[(runs["dataset"] == "mnist") & (runs["variant"] == "r5")]["valid_nll_nats"]
    row = mnist.loc[("repeats", "r5")]
    assert row["valid_nll_mean"] == pytest.approx(of_r5.sum() / 2)
    assert row["valid_nll_standard_error"] == pytest.approx((of_r5.max() - of_r5.min()) / 2)
    assert row["stochastic_depth"] == 4 + 5 * 5
    files = sorted((results / "figures").iterdir())
    assert [path.suffix for path in files] == [".pdf", ".png", ".svg"]
    before = [path.read_bytes() for path in files]
    assert write_output(results, "blocks-and-repeats", "scaling") == 0
    assert [path.read_bytes() for path in files] == before


def test_latents_grow_with_depth_or_without(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for variant, option in {"x1": "blocks", "z5": "zdim_multiple", "r5": "repeats"}.items():
        write_run(tmp_path, "mnist", variant, **{option: int(variant[1:])})
    write_tables(tmp_path)
    for name, exit_code in {"latents": 0, "sharing": 1}.items():
        write_ablation(tmp_path, {"mnist": ["x1", "z5", "r5"]}, name)
        assert write_output(tmp_path, name, "scaling") == exit_code
    assert "ablation sharing has no series" in capsys.readouterr().err
    table = pd.read_parquet(tmp_path / "tables" / "latents-scaling.parquet")
    table = table.set_index(["series", "variant"])
    assert table.index.to_list() == [
        ("repeats", "x1"), ("repeats", "r5"), ("zdim_multiple", "x1"), ("zdim_multiple", "z5")
    ]  # fmt: skip
    latents, depth = table["num_latents"], table["stochastic_depth"]
    assert latents["zdim_multiple", "z5"] == 5 * latents["zdim_multiple", "x1"]
    assert depth["zdim_multiple", "z5"] == depth["zdim_multiple", "x1"] < depth["repeats", "r5"]
