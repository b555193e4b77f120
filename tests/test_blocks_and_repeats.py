"""Figure 4: the numbers in it, and the picture."""

from pathlib import Path

import pandas as pd
import pytest
from written_results import write_ablation, write_run, write_tables

from study.blocks_and_repeats import write
from study.own_files import command

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
    ablation = results / "ablations" / "blocks-and-repeats.yaml"
    arguments = ["--ablation", str(ablation), "--tables", str(results / "tables")]
    arguments += ["--figures", str(results / "figures")]
    assert command(write, None, arguments) == 0
    table = pd.read_parquet(results / "tables" / "blocks-and-repeats-scaling.parquet")
    mnist = table[table["dataset"] == "mnist"].set_index(["series", "variant"])
    assert list(mnist.loc["own weights", "applications"]) == [1, 2, 4]
    assert list(mnist.loc["shared weights", "applications"]) == [1, 2, 5, 20]
    runs = pd.read_parquet(results / "tables" / "runs.parquet")
    of_r5 = runs[(runs["dataset"] == "mnist") & (runs["variant"] == "r5")]["valid_nll"]
    row = mnist.loc[("shared weights", "r5")]
    assert row["valid_nll_mean"] == pytest.approx(of_r5.sum() / 2)
    assert row["valid_nll_standard_error"] == pytest.approx((of_r5.max() - of_r5.min()) / 2)
    assert row["stochastic_depth"] == 4 + 5 * 5
    files = sorted((results / "figures").iterdir())
    assert [path.suffix for path in files] == [".pdf", ".png", ".svg"]
    before = [path.read_bytes() for path in files]
    assert command(write, None, arguments) == 0
    assert [path.read_bytes() for path in files] == before
